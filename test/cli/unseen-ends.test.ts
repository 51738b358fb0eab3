/** Spans whose process died unseen: how long they took is not known, and no command states it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { analyse } from "../../src/cli/analysis.js";
import { findSessions } from "../../src/cli/session-catalog.js";
import { readSession } from "../../src/cli/session-reference.js";
import { RowNumbers, viewOf } from "../../src/cli/session-view.js";
import { interruptedMessage, unclosedMessage } from "../../src/format/session-end.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { command, emptyDirectory } from "../support/command-stage.js";
import { documentOf, rootSpan, startedAt, toolSpan } from "../support/trace-documents.js";

const died = { status: "error", interrupted: true, statusMessage: interruptedMessage } as const;
const outer = toolSpan(1, { kind: "span", name: "import", ...died, endTime: startedAt + 1_001 });
const inner = toolSpan(1_001, { name: "insert", parentSpanId: "tool1", ...died, endTime: startedAt + 1_001 });

function dead(spans: TraceSpan[], over: object = {}): string {
  const dir = emptyDirectory();
  const { summary } = documentOf("");
  const crashed = {
    ...summary,
    totalToolCalls: 0,
    status: "crashed",
    detector: "process gone",
    reconstructed: true,
    ...over,
  };
  const document = documentOf("ses_1", {
    spans: [...spans, rootSpan({ ...died, statusMessage: unclosedMessage })],
    summary: crashed as never,
  });
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(document));
  return dir;
}

const shown = async (dir: string, ...args: string[]) =>
  stripVTControlCharacters((await command(dir, args, { columns: 80 })).out);

test("P14 show, tail and Markdown state at least how long a span ran whose end nobody saw", async () => {
  const dir = dead([toolSpan(2, { endTime: startedAt + 52 }), outer, inner]);
  const show = await shown(dir, "show", "ses_1");
  expect(show).toMatch(/! interrupted {2,}≥1\.0s {2}import/);
  expect(show).toMatch(/! interrupted {2,}\? {2}insert/);
  expect(show).toMatch(/session +≥1\.0s/);
  expect(show).toMatch(/import +≥1\.0s/);
  expect(show).toMatch(/insert +\? /);
  expect(show).toMatch(/bash +50ms/);
  expect(show).not.toContain("0ms  insert");
  expect(await shown(dir, "show", "ses_1", "--span", "tool1")).toMatch(/took +at least 1\.0s/);
  expect(await shown(dir, "show", "ses_1", "--span", "tool1001")).toMatch(/took +an unknown time/);
  const tail = await shown(dir, "tail", "ses_1", "--exit");
  expect(tail).toMatch(/! {3,}≥1\.0s {2}import/);
  expect(tail).toMatch(/! {7}\? {4}insert/);
  expect(await shown(dir, "export", "ses_1", "-f", "md")).toContain("an unknown time");
  const one = await readSession(findSessions(dir)[0] as never);
  const { rows, head } = viewOf(one, new RowNumbers());
  expect(rows.filter(({ isLeast }) => isLeast).map(({ name }) => name)).toEqual([
    "ses_1",
    "import",
    "insert",
  ]);
  expect(head.report.open.map(({ isLeast }) => isLeast)).toEqual([true, true]);
  expect(analyse(one.trace).nodes).toHaveLength(3);
});

test("P14 stats state at least how long a tool ran, and no slowest call of it", async () => {
  const { out } = await command(dead([outer, inner]), ["stats", "--json"]);
  expect(JSON.parse(out).tools).toEqual([
    expect.objectContaining({ tool: "insert", isLeast: true, slowestMs: null, meanMs: null }),
  ]);
  expect(await shown(dead([outer, inner]), "stats")).toMatch(/insert +1 +1 +\? +- +-/);
});

test("P14 a span that a hook interrupted has its time", async () => {
  const known = { ...outer, statusMessage: "Received SIGTERM" };
  const over = { detector: "SIGTERM", error: "Received SIGTERM", reconstructed: undefined };
  expect(await shown(dead([known], over), "show", "ses_1")).toMatch(/! interrupted {2,}1\.0s {2}import/);
});

test("tail shows a start before the ends that a death gave, and the inner end first", async () => {
  const tail = await shown(dead([outer, inner]), "tail", "ses_1", "--exit");
  const lines = tail.split("\n").map((line) => line.replace(/^\S+ (\S).*? (\S+)$/, "$1 $2"));
  expect(lines.slice(0, 4)).toEqual(["▶ import", "▶ insert", "! insert", "! import"]);
});

test("postmortem of plain spans has no turn, no cost, and says once how the process ended", async () => {
  const text = await shown(dead([outer, inner]), "postmortem", "ses_1");
  expect(text).not.toMatch(/in turn|Cost|0 tokens|Detected|Evidence/);
  expect(text).toContain("its process was gone; a recovery completed the");
});

test("postmortem names the innermost span of the last error, and keeps the lines of its message", async () => {
  const failed = {
    status: "error",
    statusMessage: "npm failed:\n  1) parser\n     expected 3",
    kind: "span",
  } as const;
  const spans = [
    toolSpan(1, { name: "agent", endTime: startedAt + 90, ...failed }),
    toolSpan(2, { name: "model", parentSpanId: "tool1", endTime: startedAt + 80, ...failed }),
  ];
  const dir = emptyDirectory();
  writeFileSync(
    join(dir, "ses_1.json"),
    JSON.stringify(documentOf("ses_1", { spans: [...spans, rootSpan()] })),
  );
  const text = await shown(dir, "postmortem", "ses_1");
  expect(text).toContain("span model in agent\n  │ npm failed:\n  │   1) parser\n  │      expected 3");
});

test("P14 postmortem of a session that ended with an error of its last span says so", async () => {
  const failed = { status: "error", statusMessage: "429 Too Many Requests", kind: "generation" } as const;
  const model = { modelId: "large" };
  const dir = emptyDirectory();
  const write = (spans: TraceSpan[]) =>
    writeFileSync(
      join(dir, "ses_1.json"),
      JSON.stringify(documentOf("ses_1", { spans: [...spans, rootSpan()] })),
    );
  const last = toolSpan(2, { model, endTime: startedAt + 900, ...failed });
  write([toolSpan(1), last]);
  expect(await shown(dir, "postmortem", "ses_1")).toMatch(/Ended at .* when\s+model large\s+failed\./);
  expect(JSON.parse((await command(dir, ["postmortem", "--json"])).out).isLastFailed).toBe(true);
  write([last, toolSpan(1, { endTime: startedAt + 950 })]);
  expect(await shown(dir, "postmortem", "ses_1")).toMatch(/Ended at .* after its start\./);
});
