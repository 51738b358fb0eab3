/** Spans with times that no date can be: nanoseconds given for milliseconds, and texts. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { command, emptyDirectory } from "../support/command-stage.js";
import { documentOf, rootSpan, startedAt, toolSpan } from "../support/trace-documents.js";

const nanos = startedAt * 1e6;

test("P6 P14 commands show that a time is not known, and the duration with it", async () => {
  const dir = emptyDirectory();
  const odd = toolSpan(1, { startTime: nanos, endTime: nanos + 5e6, tool: { durationMs: 5e6 } });
  const text = toolSpan(2, { startTime: "noon" as never, endTime: "later" as never });
  const spans = [odd, text, toolSpan(3, { endTime: startedAt + 503 }), rootSpan()];
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(documentOf("ses_1", { spans })));
  const shown = await command(dir, ["show", "ses_1"], { columns: 80 });
  expect(shown.out).toContain("03:04:05Z · 1.0s · 1 turn");
  expect(shown.out.match(/ \?/g)).toHaveLength(2);
  expect(shown.out).not.toContain("▶");
  const one = await command(dir, ["show", "ses_1", "--span", "tool1"], { columns: 80 });
  expect(one.out).toMatch(/started.* \?\n.*ended.* \?\n.*took.* \?/);
  const { startedAt: began, lastSeenAt } = JSON.parse((await command(dir, ["postmortem", "--json"])).out);
  expect([began, lastSeenAt]).toEqual([documentOf("").startedAt, documentOf("").endedAt]);
  for (const args of [["tail", "--exit"], ["stats"], ["postmortem"], ["list"]])
    expect([args[0], await command(dir, args)]).toMatchObject([args[0], { code: 0 }]);
});

test("P6 P14 a document of spans with such times begins and ends when its writer was there", async () => {
  const dir = emptyDirectory();
  const before = Date.now();
  const tracing = createSessionTracing({ dir });
  const tracer = tracing.tracer("ses_1");
  tracer.logSpan({ name: "odd", startTime: nanos, endTime: nanos + 5e6 });
  await tracing.shutdown();
  const document = JSON.parse(readFileSync(join(dir, "ses_1.json"), "utf8"));
  for (const time of [document.startedAt, document.endedAt, document.summary.lastActivityAt])
    expect(Math.abs(Date.parse(time) - before)).toBeLessThan(600_000);
  expect(document.spans.find(({ name }: { name: string }) => name === "odd")).toMatchObject({
    startTime: nanos,
  });
});
