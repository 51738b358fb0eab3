/** `verify` names times that cannot be: what the program gave, and what no reader can make a time of. */
import { appendFileSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { command, emptyDirectory } from "../support/command-stage.js";
import { documentOf, rootSpan, startedAt, toolSpan } from "../support/trace-documents.js";

const nanos = startedAt * 1e6;

async function verified(dir: string, ...args: string[]) {
  const { code, out } = await command(dir, ["verify", "--json", ...args]);
  const { sessions } = JSON.parse(out);
  return { code, ...sessions[0] };
}

test("P14 verify names times that the program gave and that cannot be, and the session is whole", async () => {
  const dir = emptyDirectory();
  const tracing = createSessionTracing({ dir });
  const tracer = tracing.tracer("ses_1");
  tracer.logSpan({ name: "fine", startTime: startedAt, endTime: startedAt + 1 });
  tracer.logSpan({ name: "nanos", startTime: nanos, endTime: nanos + 5e6 });
  tracer.logSpan({ name: "reversed", startTime: startedAt, endTime: startedAt - 500 });
  const call = { status: "completed" as const, input: {}, output: "", time: { start: 7, end: 3 } };
  tracer.logToolCall({ tool: "grep", callID: "c", state: call });
  await tracing.shutdown();
  const { code, result, findings } = await verified(dir);
  expect([code, result]).toEqual([0, "whole"]);
  expect(findings.map(({ level }: { level: string }) => level)).toEqual(["note", "note", "note"]);
  const text = readFileSync(join(dir, "ses_1.json"), "utf8");
  for (const [index, name, words] of [
    [0, "nanos", /its start 1767323045000000000 and its end 1767323045005000000 are after the year 9999/],
    [1, "reversed", /it ends 500ms before its start/],
    [2, "grep", /it ends 4ms before its start/],
  ] as const) {
    const { file, line, offset, message } = findings[index];
    expect(file).toBe("ses_1.json");
    expect(text.split("\n")[line - 1]).toContain(`"name":"${name}"`);
    expect(text.slice(offset).split("\n")[0]).toContain(`"name":"${name}"`);
    expect(message).toMatch(words);
    expect(message).toContain(name);
  }
  const shown = await command(dir, ["verify"], { columns: 80 });
  expect(shown.out).toContain("✓ whole");
  expect(shown.out.replaceAll(/\n\s+/g, " ")).toContain("500ms before its start");
});

test("P14 verify calls a time corrupt that is no number, in any layout", async () => {
  const dir = emptyDirectory();
  const text = toolSpan(1, { startTime: "noon" as never });
  const none = toolSpan(2, { endTime: "later" as never });
  const zero = toolSpan(3, { startTime: 0, endTime: 0 });
  const negative = toolSpan(4, { tool: { durationMs: -2 } });
  const root = rootSpan({ endTime: startedAt - 1 });
  const spans = [text, none, zero, negative, toolSpan(5), root];
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(documentOf("ses_1", { spans })));
  const { code, result, findings } = await verified(dir);
  expect([code, result]).toEqual([2, "corrupt"]);
  expect(findings).toEqual([
    expect.objectContaining({ level: "corrupt", message: 'bash (tool1): its start "noon" is no number' }),
    expect.objectContaining({ level: "corrupt", message: 'bash (tool2): its end "later" is no number' }),
    expect.objectContaining({
      level: "note",
      message: expect.stringContaining("bash (tool3): its start and end are 0"),
    }),
    expect.objectContaining({ level: "note", message: "bash (tool4): its duration is -2 ms" }),
    expect.objectContaining({ level: "note", message: "ses_1 (root): it ends 1ms before its start" }),
  ]);
});

test("P14 verify names times of sessions whose writer is gone, and of documents", async () => {
  const dir = emptyDirectory();
  const over = { startedAt: "yesterday", endedAt: "" };
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(documentOf("ses_1", over)));
  expect(await verified(dir)).toMatchObject({
    code: 2,
    findings: [{ level: "corrupt", message: 'the startedAt of the document, "yesterday", is no time' }],
  });
  const log = "ses_2.json.1-1-0-00000000-00000000.open";
  writeFileSync(
    join(dir, log),
    `{"version":2,"id":"ses_2","traceId":"0","sessionId":"ses_2","startedAt":"2026-01-02T03:04:05.000Z","spans":[\n`,
  );
  appendFileSync(join(dir, log), `${JSON.stringify(toolSpan(1, { startTime: nanos, endTime: nanos }))}\n`);
  const long = new Date(startedAt);
  utimesSync(join(dir, log), long, long);
  const dead = await verified(dir, "ses_2");
  expect(dead).toMatchObject({ code: 1, result: "repairable" });
  expect(dead.findings[1]).toMatchObject({ level: "note", file: log, offset: expect.any(Number) });
});

test("P14 what verify leaves out is counted, and notes hide no corrupt line", async () => {
  const dir = emptyDirectory();
  const spans = Array.from({ length: 50 }, (_, n) => toolSpan(n, { startTime: nanos, endTime: nanos }));
  const bad = toolSpan(60, { startTime: "noon" as never });
  writeFileSync(
    join(dir, "ses_1.json"),
    JSON.stringify(documentOf("ses_1", { spans: [...spans, bad, rootSpan()] })),
  );
  const { code, findings, leftOut } = await verified(dir);
  expect([code, findings.length, findings[0].level, leftOut]).toEqual([2, 20, "corrupt", 31]);
  const { out } = await command(dir, ["verify"], { columns: 80 });
  expect(out).toContain("31 findings more");
});
