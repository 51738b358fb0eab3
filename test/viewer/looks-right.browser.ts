/**
 * Raw documents, drawn in Chromium by a page that knows the format of version 2 alone (`looks-right.html`): summary,
 * waterfall and tree in the order of the document, chat and log. Real processes leave the sessions in each state.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectTrueWords, run, screenshot, viewingFile, withoutChromium } from "../support/viewer-browser.js";

interface Expected {
  /** What the head of the page shows beside the title. */
  readonly status: string;
  readonly messages: number;
  readonly generations: number;
  readonly tools: number;
  /** Rows of each kind: ended by the program with an error, interrupted, and open. */
  readonly failed: number;
  readonly cut?: number;
  readonly open?: number;
  /** Further texts of the page. */
  readonly words?: readonly string[];
  /** Spans that the cap took out. One row stands for them. */
  readonly elided?: number;
  /** Spans of other kinds. */
  readonly others?: number;
}

const turn = { messages: 1, generations: 3, tools: 4, failed: 1 };
const cutTurn = { messages: 2, generations: 4, tools: 5, failed: 1, cut: 2 };

const states: Readonly<Record<string, Expected>> = {
  live: { status: "working", messages: 2, generations: 4, tools: 5, failed: 1, open: 3 },
  idle: { status: "completed idle", ...turn, open: 1 },
  ended: { status: "completed", ...turn, words: ["Completed in"] },
  errored: {
    status: "error",
    ...cutTurn,
    failed: 2,
    words: ["The model refused: rate limit", "Failed after"],
  },
  signalled: { status: "crashed", ...cutTurn, cut: 3, words: ["SIGTERM"] },
  thrown: { status: "crashed", ...cutTurn, cut: 3, words: ["orders is not iterable"] },
  killed: { status: "crashed", ...cutTurn, cut: 3, words: ["process gone"] },
  fenced: { status: "crashed", ...cutTurn, cut: 3, words: ["Ended by SIGINT"] },
  resumed: { status: "completed", messages: 2, generations: 6, tools: 8, failed: 2 },
  "resumed after a crash": { status: "completed", messages: 3, generations: 7, tools: 9, failed: 2, cut: 2 },
  capped: {
    status: "completed",
    messages: 20,
    generations: 60,
    tools: 80,
    failed: 7,
    elided: 102,
    others: 1,
  },
  "with subagents": { status: "completed", messages: 2, generations: 4, tools: 6, failed: 1, others: 1 },
  long: { status: "completed", messages: 50, generations: 450, tools: 4_499, failed: 0 },
};

const root = mkdtempSync(join(tmpdir(), "looks-right-"));
const programs: ChildProcess[] = [];
afterAll(() => {
  for (const program of programs) program.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true, maxRetries: 5 });
});

const idOf = (state: string) => `ses_${state.replaceAll(" ", "-")}`;

/** Runs the program until its session has the state, and returns the text of the document. */
async function documentOf(state: string): Promise<string> {
  const dir = join(root, state);
  const program = spawn(process.execPath, [resolve("test/programs/looks-right-session.mjs"), dir, state], {
    // An exception of the program is printed.
    stdio: ["ignore", "pipe", state === "thrown" ? "ignore" : "inherit"],
  });
  programs.push(program);
  if (state === "live" || state === "idle") await once(program.stdout, "data");
  else await once(program, "exit");
  if (state === "killed") run(dir, "recover");
  return readFileSync(join(dir, `${idOf(state)}.json`), "utf8");
}

describe.skipIf(withoutChromium !== undefined)("a document, drawn from its own members", () => {
  const documents = new Map<string, Promise<string>>();
  beforeAll(async () => {
    for (const state of Object.keys(states)) documents.set(state, documentOf(state));
    await Promise.allSettled(documents.values());
  });

  test.each(Object.entries(states))("P14 looks right: %s", async (state, expected) => {
    const text = await documents.get(state);
    const { page, complaints } = await viewingFile(resolve("test/viewer/looks-right.html"), {
      height: 1_400,
    });
    await page.evaluate(
      (document) => (globalThis as unknown as { draw(text: string): void }).draw(document),
      text,
    );
    await screenshot(page, `looks-right-${idOf(state)}`);
    expect(complaints).toEqual([]);
    await expectTrueWords(page);
    const drawn = await look(page);

    expect(drawn.head).toBe(`Session that is ${state} ${expected.status}`);
    for (const word of expected.words ?? []) expect(drawn.text).toContain(word);
    const { elided = 0, others = 0 } = expected;
    expect(drawn.facts).toMatchObject({
      messages: String(expected.messages),
      "model calls": String(expected.generations),
      "tool calls": String(expected.tools),
    });
    expect(drawn.rows.length + elided).toBe(
      1 + expected.messages + expected.generations + expected.tools + others,
    );
    expect(count(drawn.rows, "session")).toBe(1);
    for (const [name, number = 0] of Object.entries({
      failed: expected.failed,
      cut: expected.cut,
      open: expected.open,
    }))
      expect([name, count(drawn.rows, name)]).toEqual([name, number]);

    // Every view has every span once, none without its parent.
    expect(count(drawn.rows, "orphan")).toBe(0);
    expect([drawn.tree.length, drawn.log.length]).toEqual([drawn.rows.length, drawn.rows.length]);
    // Within the bounds of the time axis.
    for (const { left, right } of drawn.bars) {
      expect(left).toBeGreaterThanOrEqual(-0.001);
      expect(right).toBeGreaterThanOrEqual(left);
      expect(right).toBeLessThanOrEqual(100.001);
    }
    expect(drawn.misplaced).toEqual([]);
    expect(drawn.chat).toEqual([...drawn.chat].sort((a, b) => a - b));
  });

  test("the page shows a lost parent, a child above its parent, a late answer and a missing number", async () => {
    const trace: TraceFile = JSON.parse((await documents.get("ended")) as string);
    const [message, generation, tool, ...rest] = trace.spans as [
      TraceSpan,
      TraceSpan,
      TraceSpan,
      ...TraceSpan[],
    ];
    const { totalGenerations: _, ...summary } = trace.summary;
    const spans = [tool, generation, message, ...rest.map((span) => ({ ...span }))];
    Object.assign(spans[3] as TraceSpan, { parentSpanId: "lost" });
    const { page } = await viewingFile(resolve("test/viewer/looks-right.html"));
    await draw(page, JSON.stringify({ ...trace, spans, summary }));
    const drawn = await look(page);
    expect(count(drawn.rows, "orphan")).toBe(1);
    expect(drawn.tree.length).toBe(drawn.rows.length - 1);
    expect(drawn.misplaced).toHaveLength(2);
    expect(drawn.chat).not.toEqual([...drawn.chat].sort((a, b) => a - b));
    await expect(expectTrueWords(page)).rejects.toThrow(/undefined/);
  });
});

const draw = (page: Page, text: string | undefined) =>
  page.evaluate((document) => (globalThis as unknown as { draw(text: unknown): void }).draw(document), text);

const count = (rows: readonly string[], name: string): number =>
  rows.filter((row) => row.split(" ").includes(name)).length;

/** What a person sees, as values. */
const look = (page: Page) =>
  page.evaluate(() => {
    const all = (selector: string) => [...document.querySelectorAll<HTMLElement>(selector)];
    const terms = all("dt").map((term) => [term.textContent, term.nextElementSibling?.textContent]);
    return {
      head: document.querySelector<HTMLElement>("h1")?.innerText.replace(/\s+/g, " ").trim(),
      text: document.querySelector("header")?.textContent ?? "",
      facts: Object.fromEntries(terms) as Record<string, string>,
      rows: all("#waterfall .bar-row").map(({ className }) => className),
      bars: all("#waterfall .bar").map(({ dataset }) => ({
        left: Number(dataset.left),
        right: Number(dataset.right),
      })),
      tree: all("#tree .line").map(({ className }) => className),
      log: all("#log .line").map(({ className }) => className),
      /** Rows above the row of their parent. */
      misplaced: all("#waterfall .misplaced").map(({ textContent }) => textContent),
      /** The starts of the messages and answers. */
      chat: all("#chat .message").map(({ dataset }) => Number(dataset.start)),
    };
  });
