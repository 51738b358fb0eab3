/** Every view in Chromium, on every golden session; by mouse, by keys, by links; as a shared file; on hostile documents. */
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { documentOf, rootSpan, startedAt } from "../support/trace-documents.js";
import {
  accessibilityFaults,
  expectTrueWords,
  run,
  screenshot,
  show,
  traceDirectory,
  viewing,
  viewingFile,
  withoutChromium,
} from "../support/viewer-browser.js";
import { agentDocument, firstTool, hostileDocument } from "../support/viewer-sessions.js";

const views = ["overview", "timeline", "chat", "log"] as const;

/** All golden documents, those of a release with the files of a killed process, and one of another tracer. */
function goldenDirectory(): string {
  const dir = traceDirectory({ ses_day: agentDocument({ id: "ses_day", turns: 4, calls: 7 }) });
  for (const folder of [
    "test/fixtures/documents",
    "test/fixtures/released/0.1.0",
    "test/fixtures/old-tracer",
  ]) {
    for (const file of readdirSync(folder)) {
      const isSide = /\.(open|live)$/.test(file);
      if (isSide || file.endsWith(".json"))
        cpSync(join(folder, file), join(dir, isSide ? file : `${basename(folder)}-${file}`));
    }
  }
  return dir;
}

const selectedName = (page: Page) => page.locator('[aria-selected="true"] .name').first().innerText();

describe.skipIf(withoutChromium !== undefined)("the viewer", () => {
  test("P14 shows every golden session in every view, with the numbers of `postmortem`", async () => {
    const dir = goldenDirectory();
    const { sessions } = JSON.parse(run(dir, "list", "--limit", "0", "--json"));
    expect(sessions.length).toBeGreaterThan(9);
    const { page, complaints } = await viewing(dir);
    await page.locator(".sessions li").first().waitFor();
    expect(await page.locator(".sessions li").count()).toBe(sessions.length);
    const origin = new URL(page.url()).origin;
    for (const { name, status } of sessions) {
      if (status === "damaged") continue;
      const report = JSON.parse(run(dir, "postmortem", join(dir, `${name}.json`), "--json"));
      for (const view of views) {
        await page.goto(`${origin}/#session=${name}&view=${view}`);
        await page.locator(`.body > .${view}`).waitFor();
        await expectTrueWords(page);
        expect(await page.locator(".top .status").innerText()).toContain(report.status);
        if (view === "overview") {
          const facts = (await page.locator(".verdict-box dl.facts").innerText()).replace(/\s+/g, " ");
          const { toolCalls, modelCalls } = report.totals;
          expect(facts).toMatch(new RegExp(`tool calls? ${toolCalls.toLocaleString("en-US")}( |$)`));
          expect(facts).toMatch(new RegExp(`model calls? ${modelCalls.toLocaleString("en-US")}( |$)`));
          if (report.evidence)
            expect(await page.locator(".evidence").innerText()).toContain(report.evidence.trim());
        } else if (view === "timeline") expect(await page.locator(".row").count()).toBeGreaterThan(0);
      }
    }
    expect(complaints).toEqual([]);
  });

  test("P14 a session of another client has its question, and no cost where none is known", async () => {
    const ids = { traceId: "t1", parentSpanId: "agent" };
    const at = { startTime: startedAt, endTime: startedAt + 50, status: "ok" as const };
    const dir = traceDirectory({
      ses_1: documentOf("ses_1", {
        metadata: { prompt: "Why is it late?" },
        spans: [
          rootSpan(),
          {
            ...{ ...at, ...ids, spanId: "agent", parentSpanId: rootSpan().spanId, kind: "span" },
            ...{ name: "invoke_agent", input: [{ role: "user", content: "Why is it late?" }] },
          },
          { ...at, ...ids, spanId: "call", kind: "generation", name: "chat", output: "A job failed." },
        ],
      }),
    });
    const { page, complaints } = await viewing(dir);
    expect(await page.locator(".sessions .title").innerText()).toBe("Why is it late?");
    await page.locator(".sessions a").click();
    await page.locator(".verdict-box dl.facts").waitFor();
    expect(await page.locator(".body > .overview").innerText()).not.toContain("$");
    await show(page, "chat");
    await page.locator(".message.generation").waitFor();
    const texts = (await page.locator(".message").allInnerTexts()).map((text) => text.replace(/\s+/g, " "));
    expect(texts[0]).toBe("user Why is it late?");
    expect(texts[1]).toContain("A job failed.");
    await show(page, "log");
    const events = await page.locator(".log .row").allInnerTexts();
    // The answer is known when the call ends.
    const end = events.findIndex((text) => text.includes("end model"));
    expect(end).toBeGreaterThan(0);
    expect(events.findIndex((text) => text.includes("A job failed."))).toBe(end);
    expect(complaints).toEqual([]);
  });

  test("keys reach everything: rows, spans, views, search, errors, help", async () => {
    const dir = traceDirectory({
      ses_1: agentDocument({ id: "ses_1", turns: 3, calls: 7, isCrashed: true }),
    });
    const { page, complaints } = await viewing(dir, "ses_1");
    await show(page, "timeline");
    for (const key of ["j", "j", "j"]) await page.keyboard.press(key);
    expect(await selectedName(page)).toBe("claude-sonnet");
    const rows = await page.locator('[role="treegrid"]').getAttribute("aria-rowcount");
    await page.keyboard.press("h");
    expect(await page.locator('[aria-selected="true"]').getAttribute("aria-expanded")).toBe("false");
    expect(Number(await page.locator('[role="treegrid"]').getAttribute("aria-rowcount"))).toBe(
      Number(rows) - 1,
    );
    await page.keyboard.press("l");
    await page.keyboard.press("l");
    expect(await selectedName(page)).toBe("bash");
    await page.keyboard.press("k");
    await page.keyboard.press("Enter");
    expect(await page.locator(".panel h2").innerText()).toBe("claude-sonnet");
    await page.keyboard.press("n");
    await page.locator(".panel .verdict").waitFor();
    const error = await page.locator(".panel .verdict").innerText();
    expect(error).toContain("does not exist");
    await page.keyboard.press("Escape");
    expect(await page.locator(".panel").count()).toBe(0);
    for (const key of ["+", "+", "]", "[", "-", "0", "f", "c", "z", "0"]) await page.keyboard.press(key);
    expect(await page.locator(".on-path").count()).toBeGreaterThan(1);
    await page.keyboard.press("End");
    await page.keyboard.press("Home");
    expect(await selectedName(page)).toBe("orders");
    await page.keyboard.press("?");
    await page.locator("dialog.help").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("dialog.help").waitFor({ state: "detached" });
    await page.keyboard.press("/");
    await page.keyboard.type("1284003");
    await page.keyboard.press("Enter");
    await page.keyboard.press("4");
    // Only an output holds the text: the search looks at what the page has not loaded.
    await page.locator("mark").first().waitFor();
    expect(await page.locator("mark").first().innerText()).toBe("1284003");
    expect(await page.locator(".foot").innerText()).toMatch(/\d+ spans contain the text/);
    await page.keyboard.press("n");
    expect(await selectedName(page)).toBe("sql_execute");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    expect(await page.locator("input[type=search]").inputValue()).toBe("");
    expect(complaints).toEqual([]);
  });

  test("an address shows the same place again, and the way back works", async () => {
    const dir = traceDirectory({ ses_1: agentDocument({ id: "ses_1", turns: 20, calls: 9 }) });
    const { page, complaints } = await viewing(dir);
    await page.locator(".sessions a").click();
    await show(page, "timeline");
    await page.locator('[role="treegrid"]').focus();
    for (let step = 0; step < 8; step++) await page.keyboard.press("PageDown");
    await page.keyboard.press("Enter");
    const name = await page.locator(".panel h2").innerText();
    const address = page.url();
    expect(address).toMatch(/#session=ses_1&view=timeline&span=[0-9a-f]{16}$/);
    await page.reload();
    await page.locator(".panel h2").waitFor();
    expect(await page.locator(".panel h2").innerText()).toBe(name);
    expect(await page.locator('[aria-selected="true"]').isVisible()).toBe(true);
    await page.goBack();
    await page.locator(".body > .overview").waitFor();
    // A link to the same session, opened on this page, brings its search and its span.
    await page.evaluate(() => {
      location.hash = "#session=ses_1&view=log&span=0000000000000004&q=1284003";
    });
    await page.locator(".log mark").first().waitFor();
    expect(await page.locator("input[type=search]").inputValue()).toBe("1284003");
    expect(await page.locator(".panel h2").innerText()).toBe("bash");
    // The text is in outputs, which are known when a span ends.
    expect(await page.locator(".log .row.started mark").count()).toBe(0);
    await page.locator("a.back").click();
    await page.locator(".sessions").waitFor();
    expect(complaints).toEqual([]);
  });

  test("filters hide, and the span panel shows texts, trees, differences and images", async () => {
    const document = agentDocument({ id: "ses_1", turns: 2, calls: 7 }) as { spans: { resource?: string }[] };
    for (const span of document.spans) span.resource = "r1";
    const resources = { r1: { attributes: { "host.name": "build-7" }, schemaUrl: "https://schemas.test/1" } };
    const dir = traceDirectory({ ses_1: { ...document, resources } });
    const { page, complaints } = await viewing(dir, "ses_1");
    await show(page, "timeline");
    await page.locator(".filters").getByRole("button", { name: "failed" }).click();
    expect(await page.locator(".foot").innerText()).toMatch(/^\d+ of \d+ spans match/);
    for (const row of await page.locator(".row:not(.passed-by)").all())
      expect(await row.getAttribute("class")).toContain("failed");
    await page.locator(".filters").getByRole("button", { name: "clear" }).click();
    await page.locator(".row", { hasText: "screenshot" }).first().click();
    await page.locator(".panel .binary", { hasText: "image, " }).waitFor();
    await page.locator(".panel").getByRole("button", { name: "Preview" }).click();
    await page.waitForFunction(() => {
      const [image] = [...document.querySelectorAll<HTMLImageElement>(".panel img")];
      return image?.complete === true && image.naturalWidth === 1;
    });
    await page.locator(".row", { hasText: "edit" }).first().click();
    await page.locator(".panel .diff .new", { hasText: "where updated_at" }).waitFor();
    await page.locator(".panel").getByRole("button", { name: "tree" }).first().click();
    await page.locator(".panel .tree", { hasText: "old_string" }).waitFor();
    await page.locator(".panel .part", { hasText: "Resource" }).getByText("build-7").waitFor();
    await show(page, "chat");
    await page.locator(".markdown table", { hasText: "stg_payments" }).first().waitFor();
    expect(await page.locator(".markdown .code pre").first().innerText()).toContain("is_incremental");
    expect(complaints).toEqual([]);
  });

  test("a subagent in a session of its own opens from the span that started it, and leads back to it", async () => {
    const parent = { id: "ses_1", spanId: firstTool };
    const dir = traceDirectory({
      ses_1: agentDocument({ id: "ses_1", turns: 2, calls: 7 }),
      ses_2: agentDocument({ id: "ses_2", turns: 1, calls: 3, parent }),
    });
    const { page, complaints } = await viewing(dir, "ses_1");
    await show(page, "overview");
    await page.locator(".card", { hasText: "Subagents" }).waitFor();
    await show(page, "timeline");
    await page.locator(".row.tool .badge").first().click();
    await page.locator(".panel .part", { hasText: "Subagent" }).locator("a.step").click();
    await page.waitForURL(/#session=ses_2&view=overview$/);
    await page.locator("a.parent").click();
    await page.waitForURL(`**/#session=ses_1&view=timeline&span=${firstTool}`);
    await page.locator(".panel a.step").waitFor();
    expect(complaints).toEqual([]);
  });

  test.each(["light", "dark"] as const)("axe finds nothing serious, in %s", async (theme) => {
    const dir = traceDirectory({
      ses_1: agentDocument({ id: "ses_1", turns: 3, calls: 6, isCrashed: true }),
    });
    const { page } = await viewing(dir, "", { theme });
    await page.locator(".sessions li").waitFor();
    expect(await accessibilityFaults(page)).toEqual([]);
    await page.locator(".sessions a").click();
    for (const view of views) {
      await show(page, view);
      if (view === "timeline") {
        await page.locator(".row.failed").first().click();
        await page.locator(".panel .value").first().waitFor();
      }
      expect(await accessibilityFaults(page), view).toEqual([]);
    }
    await page.keyboard.press("?");
    expect(await accessibilityFaults(page)).toEqual([]);
  });

  test("a shared file works from the disk, without a network", async () => {
    const dir = traceDirectory({
      ses_1: agentDocument({ id: "ses_1", turns: 3, calls: 6, isCrashed: true }),
    });
    const path = join(dir, "shared.html");
    run(dir, "share", "ses_1", "-o", path);
    const { page, complaints } = await viewingFile(path);
    await show(page, "timeline");
    await page.locator(".row", { hasText: "grep" }).first().click();
    await page.locator(".panel", { hasText: "models/marts" }).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("1284003");
    await page.keyboard.press("Enter");
    await show(page, "log");
    await page.locator("mark").first().waitFor();
    expect(await page.locator(".back, .live").count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test("P9 a hostile document is text: no script, no request, no request of a policy, no endless work", async () => {
    const dir = traceDirectory({ hostile: hostileDocument("hostile") });
    const path = join(dir, "shared.html");
    run(dir, "share", "hostile", "--no-redact", "-o", path);
    for (const { page, complaints } of [await viewing(dir, "hostile"), await viewingFile(path)]) {
      await page.locator(".tabs button").first().waitFor();
      for (const view of views) {
        await show(page, view);
        await expectTrueWords(page);
        expect(await page.locator("#page script, #page img, #page iframe").count()).toBe(0);
        expect(await page.locator('#page a[href^="javascript"]').count()).toBe(0);
      }
      await show(page, "timeline");
      expect(Number(await page.locator('[role="treegrid"]').getAttribute("aria-rowcount"))).toBe(20_006);
      await page.keyboard.press("End");
      await page.keyboard.press("Home");
      for (let step = 0; step < 4; step++) await page.keyboard.press("j");
      await page.keyboard.press("Enter");
      await page.locator(".panel").waitFor();
      await page.keyboard.press("End");
      await page.locator(".row.tool", { hasText: "owned" }).click();
      await page.locator(".panel .value").first().waitFor();
      // Marks that reorder text are shown, and have no effect.
      const text = await page.locator("body").innerText();
      expect(/[\u202a-\u202e\u2066-\u2069]/.test(text)).toBe(false);
      expect(await page.title()).not.toBe("owned");
      expect(complaints).toEqual([]);
    }
  });

  test("looks right at three widths in both themes", async () => {
    const dir = traceDirectory({
      ses_1: agentDocument({ id: "ses_1", turns: 3, calls: 6, isCrashed: true }),
      ses_2: agentDocument({ id: "ses_2", turns: 5, calls: 9 }),
    });
    for (const theme of ["light", "dark"] as const) {
      for (const width of [360, 768, 1280]) {
        const { page } = await viewing(dir, "", { theme, width, height: width < 500 ? 740 : 900 });
        await page.locator(".sessions li").first().waitFor();
        await screenshot(page, `sessions-${width}-${theme}`);
        await page.locator(".sessions a", { hasText: "ses_1" }).click();
        for (const view of views) {
          await show(page, view);
          await page.evaluate(
            () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
          );
          // Nothing is wider than the page.
          expect(await page.evaluate(() => document.documentElement.scrollWidth), `${view} ${width}`).toBe(
            width,
          );
          await screenshot(page, `${view}-${width}-${theme}`);
        }
      }
    }
  });
});

test("the page is the one that was built", () => {
  expect(readFileSync("dist/viewer.html", "utf8")).toContain("require-trusted-types-for 'script'");
});
