/** Values that are nested deeper than the call stack: every command works on them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command, emptyDirectory } from "../support/command-stage.js";

const levels = 20_000;
const deep = "[".repeat(levels) + "]".repeat(levels);

/** A document of another program. Its text, since `JSON.stringify` has the same limit. */
function deepDirectory(): string {
  const dir = emptyDirectory();
  const span = '"kind":"tool","startTime":1,"endTime":3,"status":"ok"';
  const text = `{"version":2,"id":"deep","traceId":"1","sessionId":"deep","startedAt":"2026-01-01T00:00:00.000Z",
    "endedAt":"2026-01-01T00:00:10.000Z","metadata":{},"summary":{"status":"completed"},"spans":[
    {"spanId":"a","parentSpanId":null,"name":"s","kind":"session","startTime":1,"status":"ok"},
    {"spanId":"b","parentSpanId":"a","name":"bash",${span},"input":${deep},"attributes":{"x":${deep}},"output":{"y":[1,${deep}]}}]}`;
  writeFileSync(join(dir, "deep.json"), text);
  return dir;
}

test.each([
  ["show", "deep"],
  ["show", "deep", "--span", "b"],
  ["show", "deep", "--json"],
  ["postmortem", "deep"],
  ["postmortem", "deep", "--json"],
  ["stats", "deep"],
  ["tail", "deep", "--exit", "--json"],
  ["share", "deep", "-o", "-"],
  ["share", "deep", "-o", "-", "--no-redact"],
  ["export", "deep", "--format", "otlp"],
  ["export", "deep", "--format", "chrome"],
  ["export", "deep", "--format", "jsonl"],
  ["export", "deep", "--format", "md"],
  ["verify", "deep"],
])("%s %s %s %s %s", async (...args) => {
  const { code, out, err } = await command(deepDirectory(), args);
  expect(err).not.toContain("bug");
  expect(code).toBe(0);
  expect(out.length).toBeGreaterThan(0);
});

test("what is too deep is replaced by a marker that names the limit", async () => {
  const { out } = await command(deepDirectory(), ["export", "deep", "--format", "jsonl"]);
  expect(out.match(/\[truncated: deeper than 500 levels\]/g)).toHaveLength(3);
});
