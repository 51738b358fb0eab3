/** Values that JSON cannot represent, on spans next to valid spans: through processor and exporter into the file. */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { CrashSafeFileSpanExporterOptions } from "../../src/exporter/file-exporter-options.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { spanOf } from "../support/projection-span.js";
import { spansOf } from "../support/recorded-session.js";

const sessionId = "ses_hostile";
let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "hostile-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

let spans = 0;
function traced(
  name: string,
  attributes: Record<string, unknown>,
  members: Partial<ReadableSpan> = {},
): ReadableSpan {
  const spanId = (0x1000_0000 + spans++).toString(16).padStart(16, "0");
  return spanOf({
    name,
    spanContext: () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId, traceFlags: 1 }),
    attributes: "session.id" in attributes ? attributes : { "session.id": sessionId, ...attributes },
    ...members,
  });
}

function throwing(message: string): never {
  throw new Error(message);
}

const circular: Record<string, unknown> = { name: "circle" };
circular.self = circular;
const deep = Array.from({ length: 100_000 }).reduce<unknown>((inner) => [inner], "bottom");

/** One value each, and what must be kept of the remaining values on its span. */
const values: Record<string, () => unknown> = {
  "a circular object": () => circular,
  "a BigInt": () => 2n ** 70n,
  "a throwing getter": () => ({
    good: 1,
    get bad() {
      return throwing("getter");
    },
  }),
  "a throwing toJSON": () => ({ toJSON: () => throwing("toJSON") }),
  "a toJSON that returns itself": () => ({
    toJSON() {
      return this;
    },
  }),
  "5 MB of text": () => "z".repeat(5_000_000),
  "lone surrogates": () => "\ud800 and \udfff",
  "an own __proto__": () =>
    JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}'),
  "a Proxy that throws at every touch": () =>
    new Proxy({}, new Proxy({}, { get: () => () => throwing("trap") })),
  "a revoked Proxy": () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  "a function": () => () => "code",
  "a symbol": () => Symbol("mark"),
  "100,000 levels": () => deep,
  "NaN, Infinity and a hole": () => [Number.NaN, Number.POSITIVE_INFINITY, undefined],
  "an invalid Date": () => new Date(Number.NaN),
  "a sparse array of four billion": () => {
    const list: unknown[] = [];
    list.length = 2 ** 32 - 1;
    return list;
  },
  "line breaks of every kind": () => "a\nb\r\n\u2028\u2029\u0000c",
  "text that ends like a tail": () =>
    '],"metadata":{},"summary":{},"endedAt":"","layout":{"v":1,"tailStart":1}}',
  "an object whose keys are hostile": () => ({ "": 1, "\n": 2, '"': 3, "\ud800": 4, toJSON: 5, toString: 6 }),
};

/** The spans of the file, by name. The document must be whole, with every span once. */
async function spansByName(exporter: CrashSafeFileSpanExporter): Promise<Map<string, TraceSpan>> {
  await exporter.forceFlush();
  const bytes = fs.readFileSync(exporter.tracePath(sessionId));
  const trace = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  return new Map([...spansOf(trace).values()].map((span) => [span.name, span]));
}

async function withExporter(
  options: Partial<CrashSafeFileSpanExporterOptions>,
  work: (exporter: CrashSafeFileSpanExporter) => Promise<void>,
): Promise<void> {
  const exporter = new CrashSafeFileSpanExporter({ dir, ...options });
  try {
    await work(exporter);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  } finally {
    await exporter.shutdown();
  }
}

function expectWhole(span: TraceSpan | undefined): void {
  expect(span).toMatchObject({ endTime: 1_750_000_001_500, status: "ok", attributes: { text: "good" } });
}

describe("P6 hostile values", () => {
  for (const [name, value] of Object.entries(values)) {
    it(`P6 ${name} loses that value, not its span, and not other spans`, async () => {
      await withExporter({}, async (exporter) => {
        const bad = traced("bad", { text: "good", bad: value() }, { ended: false, endTime: [0, 0] });
        exporter.recordStart(bad);
        exporter.recordEnd(traced("before", { text: "good" }));
        const running = await spansByName(exporter);
        expect(running.get("bad")?.endTime).toBeUndefined();
        exporter.recordEnd(spanOf({ ...bad, ended: true, endTime: [1_750_000_001, 500_000_000] }));
        exporter.recordEnd(traced("after", { text: "good" }));
        const found = await spansByName(exporter);
        for (const name of ["before", "bad", "after"]) expectWhole(found.get(name));
        expect(exporter.stats()).toMatchObject({ recorded: 3, dropped: 0, faults: 0 });
        expect((await readTrace(exporter.tracePath(sessionId))).damage).toEqual({
          tornBytes: 0,
          corruptLines: 0,
        });
      });
    });
  }

  it("P6 all of them on one span are survived in a fence", async () => {
    await withExporter({}, async (exporter) => {
      const all = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value()]));
      exporter.recordStart(traced("open", { text: "good", ...all }, { ended: false, endTime: [0, 0] }));
      exporter.recordEnd(traced("ended", { text: "good", ...all }));
      exporter.crash("hostile");
      const found = await spansByName(exporter);
      expectWhole(found.get("ended"));
      expect(found.get("open")).toMatchObject({ interrupted: true, attributes: { text: "good" } });
      expect(exporter.stats().faults).toBe(0);
    });
  });

  it("P6 10,000 attributes are kept", async () => {
    await withExporter({}, async (exporter) => {
      const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`key ${n}`, n]));
      exporter.recordEnd(traced("many", many));
      const { attributes } = (await spansByName(exporter)).get("many") as TraceSpan;
      expect(attributes).toMatchObject({ "key 0": 0, "key 9999": 9_999 });
    });
  });

  it("P6 members of a span that throw lose only themselves", async () => {
    const members = [
      "name",
      "status",
      "links",
      "events",
      "resource",
      "instrumentationScope",
      "parentSpanContext",
    ];
    await withExporter({}, async (exporter) => {
      for (const member of members) {
        const span = traced(`without ${member}`, { text: "good" });
        Object.defineProperty(span, member, { get: () => throwing(member) });
        exporter.recordStart(span);
        exporter.recordEnd(span);
      }
      exporter.recordEnd(traced("after", { text: "good" }));
      const found = await spansByName(exporter);
      expectWhole(found.get("after"));
      expect(found.size).toBe(members.length + 1);
      expect(exporter.stats()).toMatchObject({ recorded: members.length + 1, dropped: 0, faults: 0 });
    });
  });

  it("P6 a span whose identity or attributes cannot be read is counted, and the batch continues", async () => {
    await withExporter({}, async (exporter) => {
      const bad = ["spanContext", "attributes", "startTime"].map((member) => {
        const span = traced(`without ${member}`, { text: "good" });
        Object.defineProperty(span, member, { get: () => throwing(member) });
        return span;
      });
      const batch = [traced("first", { text: "good" }), ...bad, traced("last", { text: "good" })];
      let answers = 0;
      expect(() => exporter.export(batch, () => answers++)).not.toThrow();
      expect(answers).toBe(1);
      const found = await spansByName(exporter);
      expectWhole(found.get("first"));
      expectWhole(found.get("last"));
      expect(exporter.stats()).toMatchObject({ recorded: 4, dropped: 1 });
    });
  });

  it("P6 a redactor that throws loses the field it got, on open and ended spans", async () => {
    const redact = (value: unknown, field: string) =>
      field === "attributes.secret" ? throwing("redactor") : value;
    await withExporter({ redact }, async (exporter) => {
      exporter.recordStart(
        traced("open", { text: "good", secret: "s3cret" }, { ended: false, endTime: [0, 0] }),
      );
      exporter.recordEnd(traced("ended", { text: "good", secret: "s3cret" }));
      const found = await spansByName(exporter);
      expectWhole(found.get("ended"));
      expect(found.get("ended")?.attributes?.secret).toBe("[redaction failed]");
      expect(found.get("open")?.attributes).toMatchObject({ text: "good", secret: "[redaction failed]" });
      for (const file of fs.readdirSync(dir)) {
        expect(fs.readFileSync(join(dir, file)).includes("s3cret"), file).toBe(false);
      }
    });
  });

  it("P6 a redactor that returns a value JSON cannot represent loses that field", async () => {
    const answers = [circular, 1n, () => 1, { toJSON: () => throwing("toJSON") }];
    const redact = (value: unknown, field: string) =>
      /^attributes\.bad/.test(field) ? answers[Number(field.at(-1))] : value;
    await withExporter({ redact }, async (exporter) => {
      exporter.recordEnd(traced("redacted", { text: "good", bad0: 0, bad1: 1, bad2: 2, bad3: 3 }));
      exporter.recordEnd(traced("after", { text: "good", bad0: 0 }));
      const found = await spansByName(exporter);
      expectWhole(found.get("redacted"));
      expectWhole(found.get("after"));
    });
  });

  it("P6 session ids and the sessionId option may be anything", async () => {
    const ids = [circular, 1n, Symbol("id"), { toString: () => throwing("toString") }, "", null, "ok"];
    let next = 0;
    const sessionIdOf = () => (next % 2 === 0 ? throwing("option") : (ids[next] as string));
    await withExporter({ sessionId: sessionIdOf }, async (exporter) => {
      for (; next < ids.length; next++)
        exporter.recordEnd(traced(`step ${next}`, { "session.id": ids[next] }));
      await exporter.forceFlush();
      const found = fs.readdirSync(dir).filter((name) => name.endsWith(".json"));
      const names = found.flatMap((name) => [
        ...spansOf(JSON.parse(fs.readFileSync(join(dir, name), "utf8"))).values(),
      ]);
      expect(names).toHaveLength(ids.length);
      expect(exporter.stats()).toMatchObject({ recorded: ids.length, dropped: 0, faults: 0 });
    });
  });
});
