/** Records and attributes contain the same session, except for what attributes cannot represent. */
import type { Tracer } from "@opentelemetry/api";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { anyCalls, play as playAll } from "../support/agreement-arbitraries.js";
import { notCarried } from "../support/agreement-exceptions.js";
import { type PlayedDocuments, reported, type Staging, ways } from "../support/agreement-stage.js";
import { differences, fieldsOf } from "../support/differences.js";
import { hostile, mixed, ordinary } from "../support/wide-session.js";

const options = {
  title: "A title",
  model: "anthropic/claude",
  providerId: "anthropic",
  agent: "builder",
  variant: "high",
  userId: "user-1",
  environment: "test",
  version: "1.2.3",
  tags: ["a", "b"],
};

/** One session, ended in a way. */
const session =
  (play: (tracer: SessionTracer, foreign: Tracer) => void, end: Staging["end"]) =>
  (): Promise<PlayedDocuments> =>
    reported(
      async (tracing, foreign) => {
        const tracer = tracing.tracer("ses_wide", options);
        play(tracer, foreign);
        if (typeof end === "object" && "crash" in end) tracer.flushSync(end.crash);
        else await tracer.endTrace(typeof end === "object" ? end.error : undefined);
      },
      { end },
    );

describe.each([
  ["of ordinary calls", session(ordinary, undefined)],
  ["that ends with an error", session(ordinary, { error: "failed" })],
  ["that is fenced", session(ordinary, { crash: "killed" })],
  ["of hostile values, keys, texts and times", session(hostile, undefined)],
])("P10 a session %s", (_, play) => {
  let all: PlayedDocuments;
  beforeAll(async () => {
    all = await play();
  });

  test("has spans", () => {
    expect(all.records.ses_wide?.spans.length).toBeGreaterThan(10);
  });

  test.each(ways)("is equal by records and by attributes: %s", (way) => {
    expect(differencesBy(all, way)).toEqual([]);
  });
});

test.each(["our processor", "a stock processor"] as const)(
  "P10 a session with spans and attributes of other instrumentations is equal by records and by attributes: %s",
  async (way) => {
    const all = await session(mixed, undefined)();
    expect(differencesBy(all, way)).toEqual([]);
  },
);

test("P10 random sessions are equal by records and by attributes", async () => {
  await fc.assert(
    fc.asyncProperty(anyCalls, async (calls) => {
      const all = await session((tracer) => playAll(tracer, calls), undefined)();
      for (const way of ways) expect(differencesBy(all, way)).toEqual([]);
    }),
    { numRuns: 25 },
  );
});

describe("P10 attributes do not represent", () => {
  test.each(notCarried)("$what", async ({ fields, by = ways, play, staging }) => {
    const all = await reported(play, staging);
    for (const way of ways) {
      const isThere = staging?.end !== "still running" || by.includes(way);
      if (isThere)
        expect(differencesBy(all, way, fieldsOf).sort(), way).toEqual(
          by.includes(way) ? [...fields].sort() : [],
        );
    }
  });
});

function differencesBy<T = ReturnType<typeof differences>>(
  { records, attributes }: PlayedDocuments,
  way: (typeof ways)[number],
  as: (found: ReturnType<typeof differences>) => T = (found) => found as T,
): T {
  expect(Object.keys(attributes[way])).toEqual(Object.keys(records));
  return as(
    Object.entries(records).flatMap(([id, document]) =>
      differences(document, attributes[way][id] as typeof document),
    ),
  );
}
