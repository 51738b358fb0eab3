/** The viewer beside a process that records and is killed; and with 50,000 spans. */
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { followedSession } from "../support/followed-session.js";
import { run, show, traceDirectory, viewing, withoutChromium } from "../support/viewer-browser.js";
import { agentDocument } from "../support/viewer-sessions.js";

/** Files with the time that the main threads of the pages have had. */
async function rendererThreads(page: Page): Promise<string[]> {
  const session = await page.context().browser()?.newBrowserCDPSession();
  const processes = (await session?.send("SystemInfo.getProcessInfo"))?.processInfo ?? [];
  return processes.filter(({ type }) => type === "renderer").map(({ id }) => `/proc/${id}/schedstat`);
}

/** Time on a processor, in milliseconds: other programs of this machine take none of it. */
const cpuMillis = (path: string): number => Number(readFileSync(path, "utf8").split(" ")[0]) / 1e6;

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly args: { readonly name?: string; readonly src_file?: string };
  /** Time on a processor, in microseconds. */
  readonly tdur?: number;
}

/** Records the tasks of the main threads of the pages. Call the result for the longest one, in milliseconds on a processor. */
async function recordTasks(page: Page): Promise<() => Promise<number>> {
  const cdp = await page.context().newCDPSession(page);
  const events: TraceEvent[] = [];
  cdp.on("Tracing.dataCollected", ({ value }) => void events.push(...(value as unknown as TraceEvent[])));
  await cdp.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: { includedCategories: ["toplevel"] },
  });
  return async () => {
    const isComplete = new Promise((done) => void cdp.once("Tracing.tracingComplete", done));
    await cdp.send("Tracing.end");
    await isComplete;
    const threadOf = ({ pid, tid }: TraceEvent) => `${pid} ${tid}`;
    const names = events.filter(({ name }) => name === "thread_name");
    const main = new Set(names.filter(({ args }) => args.name === "CrRendererMain").map(threadOf));
    // V8 frees memory in tasks of its own, whatever the page does.
    const tasks = events.filter(
      (event) =>
        event.ph === "X" &&
        /RunTask$/.test(event.name) &&
        main.has(threadOf(event)) &&
        !event.args.src_file?.startsWith("v8/src/heap/"),
    );
    expect(tasks.length).toBeGreaterThan(100);
    return tasks.reduce((longest, { tdur = 0 }) => Math.max(longest, tdur), 0) / 1_000;
  };
}

describe.skipIf(withoutChromium !== undefined)("the viewer", () => {
  test("P14 follows a process without a reload, keeps place and selection, and shows its death and the verdict", async () => {
    const dir = traceDirectory();
    const { child, step } = await followedSession(dir);
    await step("message");
    const { page, complaints } = await viewing(dir, "ses_1");
    const status = page.locator(".top .status");
    await show(page, "timeline");
    await page.locator(".live.following", { hasText: "live" }).waitFor();
    await page.evaluate(() => Object.assign(globalThis, { isSamePage: true }));
    await page.locator(".row.user-message").click();
    await page.locator(".panel", { hasText: "Run the tests" }).waitFor();
    await step("step");
    await page.locator(".row.generation.running").waitFor();
    await step("tool");
    await page.locator(".row.tool.running", { hasText: "npm test" }).waitFor();
    expect(await status.innerText()).toContain("running");
    // What is selected and shown stays.
    expect(await page.locator('[aria-selected="true"]').getAttribute("class")).toContain("user-message");
    expect(await page.locator(".panel h2").innerText()).toBe("user");
    await page.keyboard.press("p");
    await page.locator(".live", { hasText: "paused" }).waitFor();
    await step("result");
    // Another page of the same session shows that the result has come.
    const second = await viewing(dir, "ses_1");
    await show(second.page, "timeline");
    await second.page.locator(".row.tool.ok").waitFor();
    // A row that was closed stays closed, whatever comes.
    await second.page.locator(".row.generation .twist").click();
    await second.page.locator(".row.tool").waitFor({ state: "detached" });
    expect(await page.locator(".row.tool.running").count()).toBe(1);
    await page.keyboard.press("p");
    await page.locator(".row.tool.ok").waitFor();
    child.kill("SIGKILL");
    await page.locator(".live.over", { hasText: "writer gone" }).waitFor();
    await page.locator(".status.crashed").waitFor();
    await page.locator(".row.generation.cut").waitFor();
    await second.page.locator(".row.generation.cut").waitFor();
    expect(await second.page.locator(".row.tool").count()).toBe(0);
    await show(page, "overview");
    expect(await page.locator(".evidence").innerText()).toContain("is gone");
    run(dir, "recover");
    await page.locator(".evidence", { hasText: "a recovery completed the document" }).waitFor();
    expect(await status.innerText()).toContain("crashed");
    expect(await page.evaluate(() => "isSamePage" in globalThis)).toBe(true);
    expect([...complaints, ...second.complaints]).toEqual([]);
  });

  test("shows when its server has ended", async () => {
    const dir = traceDirectory({ ses_1: agentDocument({ id: "ses_1", turns: 1, calls: 3 }) });
    const { page, server } = await viewing(dir, "ses_1");
    await show(page, "overview");
    server?.kill("SIGKILL");
    await page.locator(".live.over", { hasText: "does not answer" }).waitFor();
  });

  test("P13 50,000 spans: a first paint, frames of a scroll, memory", async () => {
    const dir = traceDirectory({ ses_1: agentDocument({ id: "ses_1", turns: 1_050, calls: 21 }) });
    const { page, complaints } = await viewing(dir);
    const cdp = await page.context().newCDPSession(page);
    await cdp.send("Performance.enable");
    await page.locator(".sessions a").waitFor();
    const mainThreads = await rendererThreads(page);
    const worked = () => mainThreads.reduce((sum, path) => sum + cpuMillis(path), 0);
    const longestTask = await recordTasks(page);
    const before = worked();
    await page.evaluate(() => {
      location.hash = "#session=ses_1&view=timeline";
    });
    await page.locator(".row").first().waitFor();
    const paint = worked() - before;
    await page.locator(".foot", { hasText: "54,602 spans" }).waitFor();
    const all = worked() - before;
    const task = await longestTask();
    expect(await page.locator(".live", { hasText: "loading" }).count()).toBe(0);
    const rows = Number(await page.locator('[role="treegrid"]').getAttribute("aria-rowcount"));
    expect(rows).toBeGreaterThan(50_000);
    // Only what is in sight is in the page.
    expect(await page.locator(".row").count()).toBeLessThan(80);
    const frames: number[] = [];
    for (let frame = 0; frame < 60; frame++) {
      const begun = worked();
      await page.evaluate(() => {
        document.querySelector(".grid")?.scrollBy(0, 1_700);
        return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      });
      frames.push((worked() - begun) / 2);
    }
    const p95 = frames.sort((a, b) => a - b)[Math.floor(frames.length * 0.95)] ?? 0;
    await page.keyboard.press("End");
    await page.locator(`[aria-rowindex="${rows}"]`).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("1284003");
    await page.locator(".foot", { hasText: "match" }).waitFor();
    await page.keyboard.press("Escape");
    await cdp.send("HeapProfiler.collectGarbage");
    const { metrics } = await cdp.send("Performance.getMetrics");
    const heap = (metrics.find(({ name }) => name === "JSHeapUsedSize")?.value ?? 0) / (1 << 20);
    console.log(
      `${rows} spans: ${Math.round(paint)} ms of work until the first rows, ${Math.round(all)} until all, ${Math.round(task)} ms in the longest task, ${p95.toFixed(1)} ms a frame of a scroll (p95), ${Math.round(heap)} MB of heap`,
    );
    // Wide bounds: a processor that is shared has cold caches.
    expect(paint).toBeLessThan(1_500);
    expect(task).toBeLessThan(300);
    expect(p95).toBeLessThan(60);
    expect(heap).toBeLessThan(300);
    expect(complaints).toEqual([]);
  });
});
