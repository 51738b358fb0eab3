import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeSpan } from "../../src/format/document.js";
import {
  encodeJournalSpan,
  encodeOwner,
  encodeSession,
  type JournaledSession,
  replayJournal,
} from "../../src/format/journal.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { anySpan } from "../support/trace-arbitraries.js";

const root: TraceSpan = {
  spanId: "root",
  parentSpanId: null,
  name: "s",
  kind: "session",
  startTime: 1,
  status: "ok",
};
const session: JournaledSession = {
  id: "s",
  traceId: "t",
  startedAt: "2025",
  root,
  metadata: { title: "a" },
};
const begun = Buffer.concat([encodeOwner("1-1-1-1-1", "tools"), encodeSession(session)]);

/** Span ids are unique within a trace only. A span without a trace id is one of the session's trace. */
const spansOfFewIds = fc
  .tuple(anySpan, fc.constantFrom("a", "b"), fc.constantFrom("t", "u", "", undefined))
  .map(([{ traceId: _, ...span }, spanId, traceId]): TraceSpan => {
    return { ...span, spanId, ...(traceId !== undefined && { traceId }) };
  });

describe("journal", () => {
  it("P2 returns the last record of every span, by trace id and span id, in order of start; D15 ended spans in order of their ends", () => {
    fc.assert(
      fc.property(fc.array(spansOfFewIds, { maxLength: 8 }), (spans) => {
        const log = Buffer.concat([begun, ...spans.map((span) => encodeJournalSpan(encodeSpan(span)))]);
        const state = replayJournal(log);
        const want = new Map<string, TraceSpan>();
        for (const span of spans) {
          const ids = JSON.stringify([span.traceId || session.traceId, span.spanId]);
          const isEnd = span.endTime !== undefined && want.get(ids)?.endTime === undefined;
          if (isEnd) want.delete(ids);
          want.set(ids, JSON.parse(JSON.stringify(span)));
        }
        expect([...state.spans.values()]).toEqual([...want.values()]);
        expect(state).toMatchObject({ session, corruptLines: 0, tornBytes: 0 });
      }),
      { numRuns: 500 },
    );
  });

  it("P2 the last session record wins", () => {
    const later = { ...session, metadata: { title: "b" } };
    expect(replayJournal(Buffer.concat([begun, encodeSession(later)])).session).toEqual(later);
  });

  it("P2 cut anywhere, it keeps every whole record, and returns the torn rest", () => {
    const spans = ["a", "b", "c"].map((spanId) => ({
      ...root,
      spanId,
      kind: "span" as const,
      name: "zażółć 🦩",
    }));
    const log = Buffer.concat([begun, ...spans.map((span) => encodeJournalSpan(encodeSpan(span)))]);
    for (let at = 0; at <= log.length; at++) {
      const state = replayJournal(log.subarray(0, at));
      const whole =
        log
          .subarray(0, at + 1)
          .toString("latin1")
          .split("\n").length - 1;
      expect(state.spans.size).toBe(Math.max(0, whole - 2));
      expect(state.session !== undefined).toBe(whole >= 2);
      expect(state.corruptLines).toBe(0);
      const isWhole = at === 0 || log[at - 1] === 0x0a || log[at] === 0x0a;
      expect(state.tornBytes).toBe(isWhole ? 0 : at - (log.lastIndexOf(0x0a, at - 1) + 1));
    }
  });

  it("P6 accepts any bytes, and counts lines that are no records", () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.json().map((text) => Buffer.from(`${text}\n`)),
      fc.json().map((value) => Buffer.from(`{"session":${value}}\n{"span":${value}}\n`)),
    );
    fc.assert(
      fc.property(bytes, (given) => {
        const state = replayJournal(Buffer.concat([begun, Buffer.from(given)]));
        expect(state.session?.id).toBeTypeOf("string");
        for (const span of state.spans.values()) expect(span.spanId).toMatch(/./s);
      }),
      { numRuns: 3_000 },
    );
    expect(replayJournal(Buffer.from('{"span":{}}\n{"span":{"spanId":"a"}}\n\n{"x":1}\n\0\0'))).toMatchObject(
      {
        corruptLines: 3,
        tornBytes: 2,
      },
    );
  });

  it("P6 merged attributes replace those of a corrupt line that are no object", () => {
    for (const corrupt of ['"text"', "7", "null", "[1]", "true"]) {
      const log =
        `{"span":{"spanId":"a","attributes":${corrupt}}}\n` +
        '{"owner":null,"of":{"spanId":"a"},"attributes":{"late":"x"}}\n';
      const { spans, corruptLines } = replayJournal(Buffer.from(log));
      expect([...spans.values()].map(({ attributes }) => attributes)).toEqual([{ late: "x" }]);
      expect(corruptLines).toBe(0);
    }
  });

  it("P6 keys of the prototype are valid ids and members", () => {
    const log =
      '{"span":{"spanId":"__proto__"}}\n{"span":{"spanId":"constructor"}}\n{"__proto__":{"polluted":1}}\n';
    const state = replayJournal(Buffer.from(log));
    expect([...state.spans.values()].map(({ spanId }) => spanId)).toEqual(["__proto__", "constructor"]);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});
