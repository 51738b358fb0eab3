/** How content that is too long for a file is cut, and that other content stays unchanged. */
import { trace } from "@opentelemetry/api";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { limitSpan, limitValue } from "../../src/exporter/limits.js";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { type Actor, Stage } from "../support/session-stage.js";
import { ended } from "../support/span-lines.js";

const span: TraceSpan = {
  spanId: "00000000000000a1",
  parentSpanId: "00000000000000b2",
  name: "work",
  kind: "tool",
  startTime: 1,
  endTime: 2,
  status: "ok",
  input: { path: "a.ts", lines: [1, 2, 3] },
  output: "short",
  attributes: { one: 1, list: ["a", "b"] },
  traceId: "0000000000000000000000000000000c",
};
const values = { maxValueBytes: 1_000, maxSpanBytes: 0 };
const spans = { maxValueBytes: 0, maxSpanBytes: 10_000 };

/** The beginning that was kept, and the number of missing bytes that the marker names. */
function parted(text: unknown): { kept: string; missing: number } {
  const [whole, missing] = /…\[(\d+) bytes cut\]$/.exec(String(text)) ?? ["", "0"];
  return { kept: String(text).slice(0, String(text).length - whole.length), missing: Number(missing) };
}

const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

describe("P6 P8 one text", () => {
  test("within the limit is passed on, and so is the span around it: the same object", () => {
    const full = { ...span, output: "é".repeat(500) };
    expect(limitSpan(values, full)).toBe(full);
    expect(
      limitSpan({ maxValueBytes: 0, maxSpanBytes: 0 }, { ...span, output: "x".repeat(1e6) }).output,
    ).toHaveLength(1e6);
  });

  test("one byte too long ends with the number of missing bytes, at every place of a span", () => {
    const long = `${"é".repeat(500)}!`;
    const given: TraceSpan = {
      ...span,
      name: long,
      statusMessage: long,
      model: { modelId: long },
      input: { deep: [{ deeper: long }], near: 1 },
      output: long,
      attributes: { said: long, said_twice: [long, "short"] },
    };
    const before = structuredClone(given);
    const cut = limitSpan(values, given);
    expect(given).toEqual(before);
    expect(Object.keys(cut)).toEqual(Object.keys(given));
    const { kept, missing } = parted(cut.output);
    expect(Buffer.byteLength(String(cut.output))).toBeLessThanOrEqual(1_000);
    expect(Buffer.byteLength(kept) + missing).toBe(1_001);
    expect(long.startsWith(kept)).toBe(true);
    expect(cut).toEqual({
      ...given,
      name: cut.output,
      output: cut.output,
      statusMessage: cut.output,
      model: { modelId: cut.output },
      input: { deep: [{ deeper: cut.output }], near: 1 },
      attributes: { said: cut.output, said_twice: [cut.output, "short"] },
    });
  });

  test("is never cut within a character, and every missing byte is counted", () => {
    const characters = fc.array(fc.constantFrom("a", "é", "€", "😀", "\n", '"'), {
      minLength: 300,
      maxLength: 2_000,
    });
    fc.assert(
      fc.property(characters, (parts) => {
        const text = parts.join("");
        const cut = String(limitValue(values, text));
        const { kept, missing } = parted(cut);
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(Math.max(1_000, 0));
        expect(cut.isWellFormed()).toBe(true);
        expect(text.startsWith(kept)).toBe(true);
        expect(Buffer.byteLength(kept) + missing).toBe(Buffer.byteLength(text));
      }),
    );
  });

  test("that was cut before names the missing bytes of the original once", () => {
    const first = String(limitValue({ ...values, maxValueBytes: 5_000 }, "x".repeat(20_000)));
    const { kept, missing } = parted(limitValue(values, first));
    expect(kept).toMatch(/^x+$/);
    expect(kept.length + missing).toBe(20_000);
  });

  test("too long for any JSON, hundreds of millions of characters, loses itself and little time", () => {
    const text = "\u0000".repeat(400_000_000);
    const cut = limitSpan(
      { maxValueBytes: 16_000_000, maxSpanBytes: 32_000_000 },
      {
        ...span,
        output: text,
        input: ["near", text],
      },
    );
    const { kept, missing } = parted(cut.output);
    expect(kept.length + missing).toBe(400_000_000);
    expect(cut.input).toEqual(["near", cut.output]);
    expect(bytesOf(cut)).toBeLessThanOrEqual(32_000_000);
  });
});

describe("P6 P8 one span", () => {
  test("that is too large has its texts cut, the longest most, until it fits", () => {
    const given = {
      ...span,
      input: "i".repeat(9_000),
      output: "o".repeat(4_000),
      attributes: { near: "n".repeat(900) },
    };
    const cut = limitSpan(spans, given);
    expect(bytesOf(cut)).toBeLessThanOrEqual(10_000);
    expect(parted(cut.input).missing).toBeGreaterThan(0);
    expect(parted(cut.input).kept.length + parted(cut.input).missing).toBe(9_000);
    expect(cut.output).toBe(given.output);
    expect(cut.attributes).toEqual(given.attributes);
    expect(Object.keys(cut)).toEqual(Object.keys(given));
  });

  test("that just fits stays unchanged, however much of it JSON escapes", () => {
    const room = 10_000 - bytesOf({ ...span, output: "" });
    const full = { ...span, output: "\u0001".repeat(Math.floor(room / 6)) };
    expect(limitSpan(spans, full)).toBe(full);
    const cut = limitSpan(spans, { ...full, output: `${full.output}\u0001` });
    expect(parted(cut.output).missing).toBeGreaterThan(0);
    expect(bytesOf(cut)).toBeLessThanOrEqual(10_000);
  });

  test("of too many small values loses its largest fields, and names how many bytes each had", () => {
    const numbers = Array.from({ length: 9_000 }, (_, i) => i);
    const given = {
      ...span,
      input: numbers,
      output: { some: [1, 2] },
      attributes: { text: "x".repeat(300), kept: 1 },
    };
    const cut = limitSpan(spans, given);
    expect(cut.input).toBe(`…[${bytesOf(numbers)} bytes cut]`);
    expect(cut.output).toEqual(given.output);
    expect(cut.attributes).toMatchObject({ kept: 1 });
    const many = Object.fromEntries(numbers.map((n) => [`key${n}`, n]));
    expect(limitSpan(spans, { ...span, attributes: many })).toEqual({
      ...span,
      attributes: { cut: `…[${bytesOf(many)} bytes cut]` },
    });
  });

  test("is always within its limit, whatever its content", () => {
    const parts = fc.record({ json: fc.jsonValue(), text: fc.string({ unit: "binary", maxLength: 50 }) });
    fc.assert(
      fc.property(parts, fc.nat(100), fc.nat(2_000), ({ json, text }, times, length) => {
        const given: TraceSpan = {
          ...span,
          input: Array.from({ length: times }, () => json),
          output: text.repeat(length),
          attributes: { said: text, list: Array.from({ length: times }, () => text.repeat(length / 50)) },
        };
        const isWithin = bytesOf(limitSpan(spans, given)) <= 10_000;
        expect(isWithin).toBe(true);
      }),
    );
  });

  test("with values JSON cannot represent, which only a redactor can add, is left to the serializer", () => {
    const circle: Record<string, unknown> = { text: "x".repeat(20_000) };
    circle.self = circle;
    expect(bytesOf(limitSpan(spans, { ...span, input: circle }))).toBeLessThanOrEqual(10_000);
    const hostile = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error("no");
        },
      },
    );
    expect(() => limitSpan(spans, { ...span, input: hostile })).not.toThrow();
  });
});

describe("P6 P8 in the document", () => {
  let stage: Stage;
  let actor: Actor;
  beforeEach(() => {
    stage = new Stage();
  });
  afterEach(async () => {
    await actor.processor.shutdown();
    stage.remove();
  });

  test("starts, changes and ends are cut, and so are the reason of a session's end and its metadata", async () => {
    actor = stage.actor({ maxValueBytes: 1_000, maxSpanBytes: 10_000 });
    const { exporter } = actor;
    const long = "x".repeat(5_000);
    const session = exporter.openSession({
      ...{ id: "s", traceId: "0123456789abcdef0123456789abcdef", startTime: 1, name: "s", input: long },
      metadata: { title: long, tags: ["short", long] },
    });
    const open = actor.start("s", long);
    actor.record("s", 1, long);
    open.setAttribute("later", long);
    for (let i = 0; i < 30; i++) session.update({ attributes: { [`a${i}`]: long } });
    await exporter.forceFlush();
    const isCut = (text: unknown) => parted(text).missing > 4_000 && String(text).length <= 1_000;
    const running = stage.document("s");
    expect(running.metadata).toSatisfy(
      ({ title, tags }) => isCut(title) && tags[0] === "short" && isCut(tags[1]),
    );
    expect(ended(running)[0]?.attributes?.["input.value"]).toSatisfy(isCut);
    expect(running.spans.find((one) => one.endTime === undefined && one.kind === "span")).toSatisfy(
      (one: TraceSpan) => isCut(one.attributes?.["input.value"]) && isCut(one.attributes?.later),
    );
    const root = running.spans.at(-1);
    expect(root?.input).toSatisfy((text) => parted(text).missing > 4_000);
    expect(bytesOf(root)).toBeLessThanOrEqual(10_000);
    exporter.crash(long);
    const { summary, spans } = stage.document("s");
    expect(summary.error).toSatisfy(isCut);
    expect(spans.filter((one) => one.interrupted).map((one) => one.statusMessage)).toSatisfy(
      (all: string[]) => all.every((message) => message === summary.error),
    );
    expect(stage.bytes("s")).not.toContain("x".repeat(1_001));
  });

  test("P9 the limit applies after redaction, because half a secret would pass a redactor", async () => {
    const secret = "the whole of a secret";
    actor = stage.actor({
      maxValueBytes: 1_000,
      redact: (value) => (typeof value === "string" ? value.replaceAll(secret, "[gone]") : value),
    });
    actor.record("s", 1, `${"x".repeat(970)}${secret}${"y".repeat(500)}`);
    await actor.processor.forceFlush();
    expect(stage.bytes("s")).toContain("x[gone]");
    expect(stage.bytes("s")).not.toContain("the whole");
  });

  test("a text that no JSON could hold loses itself: its span and the spans next to it are kept", async () => {
    actor = stage.actor();
    const open = actor.start("s");
    open.setAttribute("text", "\u0000".repeat(200_000_000));
    actor.record("s", 1);
    actor.end(open);
    await actor.processor.forceFlush();
    expect(actor.exporter.stats()).toMatchObject({ recorded: 2, dropped: 0, faults: 0 });
    const found = ended(stage.document("s"))[1];
    expect(parted(found?.attributes?.text).missing).toBeGreaterThan(190_000_000);
    expect(trace.isSpanContextValid(open.spanContext())).toBe(true);
  });
});
