import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { encodeHead } from "../../src/format/document.js";
import { ParentPlaces } from "../../src/format/parent-places.js";
import { SpanMap, traceIdOf } from "../../src/format/span-map.js";
import { Totals } from "../../src/format/totals.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { runSync } from "../../src/platform/gensync.js";
import type { Source } from "../../src/storage/lines.js";
import { MergedFile } from "../../src/storage/merged-file.js";
import { encodeLine } from "../support/trace-arbitraries.js";

const dir = fs.mkdtempSync(join(os.tmpdir(), "merged-file-"));
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

const head = { id: "s", traceId: "t0", sessionId: "s", startedAt: "2025" };
const fileSystem = { ...nodeFileSystem, sync: { ...nodeFileSystem.sync, fdatasync: () => {} } };

interface Given {
  readonly type: "lines" | "spans";
  readonly traceId: string;
  readonly spans: readonly TraceSpan[];
}

/** Few ids, so that sources have spans in common. Letters beyond ASCII, as foreign writers may use. */
const shared: fc.Arbitrary<TraceSpan> = fc.record(
  {
    spanId: fc.constantFrom("a", "b", "c", "d", "zażółć", 'qu"ote', "__proto__"),
    parentSpanId: fc.constant(null),
    name: fc.string(),
    kind: fc.constantFrom("span" as const, "tool" as const, "generation" as const),
    startTime: fc.nat(),
    status: fc.constant("ok" as const),
    cost: fc.nat(),
    interrupted: fc.constant(true as const),
    traceId: fc.constantFrom("t0", "t1", "t2"),
  },
  { requiredKeys: ["spanId", "parentSpanId", "name", "kind", "startTime", "status"] },
) as fc.Arbitrary<TraceSpan>;

const givens: fc.Arbitrary<Given[]> = fc.array(
  fc.record({
    type: fc.constantFrom("lines" as const, "spans" as const),
    traceId: fc.constantFrom("t0", "t1"),
    spans: fc.array(shared, { maxLength: 6 }),
  }),
  { maxLength: 4 },
);

/** Each span once, in the place of its winning line: ended wins over interrupted, later over earlier. */
function model(sources: readonly Given[]): TraceSpan[] {
  const all = sources.flatMap(({ spans, traceId }) => spans.map((span) => ({ span, traceId })));
  const winners = new Map<string, (typeof all)[number]>();
  const keyOf = ({ span, traceId }: (typeof all)[number]) =>
    JSON.stringify([span.spanId, traceIdOf(span, traceId || head.traceId)]);
  for (const one of all) {
    const known = winners.get(keyOf(one));
    if (!known || !one.span.interrupted || known.span.interrupted) winners.set(keyOf(one), one);
  }
  return all
    .filter((one) => winners.get(keyOf(one)) === one)
    .map(({ span, traceId }) => {
      if (traceId === head.traceId) return span;
      const { traceId: own = traceId, ...rest } = span;
      // Present only where it differs from the document's.
      return own === head.traceId ? rest : { ...rest, traceId: own };
    });
}

function inFile<T>(bytes: Buffer, work: (fd: number) => T): T {
  const path = join(dir, "source");
  fs.writeFileSync(path, bytes);
  const fd = fs.openSync(path, "r");
  try {
    return work(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function unite(
  sources: readonly Given[],
  parse: boolean,
  noise = Buffer.alloc(0),
): { text: string; merged: MergedFile } {
  const bytes: Buffer[] = [];
  const ranges = sources.map(({ spans }) => {
    const from = bytes.reduce((sum, { length }) => sum + length, 0);
    bytes.push(noise, ...spans.map((span, index) => encodeLine(span).subarray(index === 0 ? 1 : 0)));
    return { from, to: bytes.reduce((sum, { length }) => sum + length, 0) };
  });
  return inFile(Buffer.concat(bytes), (fd) => {
    const out = fs.openSync(join(dir, "out"), "w+");
    try {
      const merged = new MergedFile(out, head, { parse });
      const given: Source[] = sources.map(({ type, traceId, spans }, index) =>
        type === "spans"
          ? { type, traceId, spans }
          : { type, traceId, fd, ...(ranges[index] as { from: number; to: number }) },
      );
      runSync(fileSystem, merged.write(given));
      return { text: fs.readFileSync(join(dir, "out"), "utf8"), merged };
    } finally {
      fs.closeSync(out);
    }
  });
}

describe("merging the files of a session", () => {
  it("P7 keeps each span of all sources once, ended before interrupted, the later before the earlier", () => {
    fc.assert(
      fc.property(givens, fc.boolean(), (sources, parse) => {
        const { text, merged } = unite(sources, parse);
        const want = model(sources);
        expect(text.startsWith(encodeHead(head).toString())).toBe(true);
        expect(JSON.parse(`${text}]}`).spans).toEqual(want);
        expect(merged.size).toBe(Buffer.byteLength(text));
        expect(merged.lines).toBe(want.length);
        expect(merged.corruptLines).toEqual([]);
        for (const span of want) expect(merged.has(span)).toBe(true);
        // Every span is counted for the first source that has it.
        expect(merged.firstSeen.reduce((sum, count) => sum + (count ?? 0), 0)).toBe(want.length);
        // Each line is counted either when it is read, or when it is written to the result.
        const totals = new Totals();
        for (const span of want) totals.add(span);
        expect(merged.totals?.toJson()).toEqual(parse ? totals.toJson() : undefined);
      }),
      { numRuns: 500 },
    );
  });

  it("P13 the session span, which has no line, is no missing parent in any of the traces", () => {
    const span = (spanId: string, parentSpanId: string, traceId: string) =>
      ({ spanId, parentSpanId, traceId, name: "n", kind: "span", startTime: 1, status: "ok" }) as const;
    const spans = [span("a", "root", "t1"), span("b", "root", "t2"), span("c", "gone", "t2")];
    const placement = { places: new ParentPlaces("s"), rootSpanId: "root" };
    const merged = new MergedFile(undefined, head, { parse: true, placement });
    runSync(fileSystem, merged.write([{ type: "spans", traceId: "t0", spans }]));
    expect(merged.parentsWithoutLines).toEqual([{ spanId: "gone", traceId: "t2" }]);
  });

  it("P6 leaves out lines that are no spans, and returns their positions", () => {
    const noise = Buffer.from('garbage\n,{"spanId":""}\n{"spanId":"x"\n\0\0\n');
    fc.assert(
      fc.property(givens, (sources) => {
        const { text, merged } = unite(sources, true, noise);
        expect(JSON.parse(`${text}]}`).spans).toEqual(model(sources));
        const inLines = sources.flatMap(({ type }, source) => (type === "lines" ? [source] : []));
        expect(merged.corruptLines.map(({ source }) => source)).toEqual(
          inLines.flatMap((source) => Array(4).fill(source)),
        );
      }),
      { numRuns: 200 },
    );
  });

  it("P7 of a merged file alone returns the same file", () => {
    fc.assert(
      fc.property(givens, fc.boolean(), (sources, parse) => {
        const once = unite(sources, parse).text;
        const spans: TraceSpan[] = JSON.parse(`${once}]}`).spans;
        expect(unite([{ type: "lines", traceId: head.traceId, spans }], parse).text).toBe(once);
      }),
      { numRuns: 200 },
    );
  });

  it("P7 adds lines that arrive while it runs, and refuses a line whose span has one", () => {
    const span = (spanId: string): TraceSpan => ({
      spanId,
      parentSpanId: null,
      name: "n",
      kind: "span",
      startTime: 1,
      status: "ok",
    });
    const found: string[] = [];
    const merged = new MergedFile((line) => found.push(JSON.parse(line.toString()).spanId), head, {
      parse: false,
    });
    runSync(fileSystem, merged.write([{ type: "spans", traceId: "t0", spans: [span("a"), span("b")] }]));
    runSync(fileSystem, merged.append({ type: "spans", traceId: "t0", spans: [span("c")] }));
    expect(found).toEqual(["a", "b", "c"]);
    expect(() =>
      runSync(fileSystem, merged.append({ type: "spans", traceId: "t0", spans: [span("a")] })),
    ).toThrow("a");
  });

  it("P7 keeps no line of spans that are still open", () => {
    const running = new SpanMap<true>(head.traceId);
    running.set({ spanId: "a" }, true);
    const spans: TraceSpan[] = ["a", "b"].map((spanId) => ({
      spanId,
      parentSpanId: null,
      name: "n",
      kind: "span",
      startTime: 1,
      status: "error",
      interrupted: true,
    }));
    const merged = new MergedFile(undefined, head, { parse: true, running });
    runSync(fileSystem, merged.write([{ type: "spans", traceId: "t0", spans }]));
    expect([merged.has({ spanId: "a" }), merged.has({ spanId: "b" })]).toEqual([false, true]);
  });
});
