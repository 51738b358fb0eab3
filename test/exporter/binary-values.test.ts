/**
 * Images and other bytes in attributes and logged calls: kept whole as base64 up to the limit of values, and no pass reads
 * their characters one by one.
 */
import { randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, redactSecrets } from "../../src/index.js";
import { createSessionTracing } from "../../src/session.js";
import { Stage } from "../support/session-stage.js";
import { tracerInto } from "../support/span-processor-stage.js";

const bytes = randomBytes(1_500_000);
const image = bytes.toString("base64");
const dataUrl = `data:image/png;base64,${image}`;
const messages = [
  {
    role: "user",
    parts: [
      { type: "blob", content: image },
      { type: "text", content: 'a "cat"' },
    ],
  },
];

let stage: Stage;
/** The longest text that JSON, a regular expression, or a replacement was given, while passes are watched. */
let longest = 0;
beforeEach(() => {
  stage = new Stage();
  longest = 0;
});
afterEach(() => {
  vi.restoreAllMocks();
  stage.remove();
});

/** Watches the passes that read each character. */
function watch(): void {
  const { stringify, parse } = JSON;
  const { replace } = String.prototype;
  const { test, exec } = RegExp.prototype;
  const see = (text: unknown) => {
    if (typeof text === "string") longest = Math.max(longest, text.length);
  };
  vi.spyOn(JSON, "stringify").mockImplementation((...args) => {
    const text = stringify(...(args as [unknown]));
    see(text);
    return text;
  });
  vi.spyOn(JSON, "parse").mockImplementation((text, reviver) => {
    see(text);
    return parse(text, reviver);
  });
  vi.spyOn(String.prototype, "replace").mockImplementation(function (this: string, ...args) {
    see(String(this));
    return (replace as (...args: unknown[]) => string).apply(this, args);
  });
  vi.spyOn(RegExp.prototype, "test").mockImplementation(function (this: RegExp, text) {
    see(text);
    return test.call(this, text);
  });
  vi.spyOn(RegExp.prototype, "exec").mockImplementation(function (this: RegExp, text) {
    see(text);
    return exec.call(this, text);
  });
}

function recorder(options: object = {}) {
  const exporter = new CrashSafeFileSpanExporter({ dir: stage.dir, ...options });
  const processor = new CrashSafeSpanProcessor(exporter);
  return { exporter, processor, tracer: tracerInto(processor) };
}

const forms: Record<
  string,
  { attributes: Record<string, unknown>; read(span: Record<string, never>): unknown }
> = {
  "base64 in an attribute": {
    attributes: { "app.image": image },
    read: ({ attributes }) => attributes?.["app.image"],
  },
  "a data: URL as the input": {
    attributes: { "openinference.span.kind": "CHAIN", "input.value": dataUrl },
    read: ({ input }) => input,
  },
  "messages as JSON": {
    attributes: { "gen_ai.operation.name": "chat", "gen_ai.input.messages": JSON.stringify(messages) },
    read: ({ input }) => input,
  },
  "JSON in an attribute of no convention": {
    attributes: { "app.json": JSON.stringify(messages) },
    read: ({ attributes }) => attributes?.["app.json"],
  },
};
const expected: Record<string, unknown> = {
  "base64 in an attribute": image,
  "a data: URL as the input": dataUrl,
  "messages as JSON": messages.map(({ role, parts }) => ({ role, content: parts })),
  "JSON in an attribute of no convention": JSON.stringify(messages),
};

describe.each(Object.entries(forms))("P8 an image: %s", (name, { attributes, read }) => {
  it.each([
    ["", {}],
    [", redacted", { redact: redactSecrets() }],
  ])("P8 is whole, and no pass reads its characters%s", async (_, options) => {
    const { processor, tracer } = recorder(options);
    watch();
    const span = tracer.startSpan("work", { attributes: { "session.id": "s", ...attributes } as never });
    await processor.forceFlush();
    tracer.startSpan("other", { attributes: { "session.id": "s" } }).end();
    await processor.forceFlush();
    span.end();
    await processor.shutdown();
    vi.restoreAllMocks();
    // The ends of a run are searched for secrets.
    expect(longest).toBeLessThan(200_000);
    const work = stage.document("s").spans.find((one) => one.name === "work");
    // Not by `toEqual`, which prints all that differs.
    expect(isDeepStrictEqual(read(work as never), expected[name])).toBe(true);
  });
});

describe("P8 a running span with an image", () => {
  it("P8 is not read again while nothing changes", async () => {
    const seen: unknown[] = [];
    const redact = (value: unknown, field: string) => {
      if (field === "attributes.app.image") seen.push(value);
      return value;
    };
    const { processor, tracer } = recorder({ redact });
    const span = tracer.startSpan("work", { attributes: { "session.id": "s", "app.image": image } });
    const publish = async () => {
      tracer.startSpan("other", { attributes: { "session.id": "s" } }).end();
      await processor.forceFlush();
    };
    await publish();
    const before = seen.length;
    await publish();
    await publish();
    expect(seen.length).toBe(before);
    span.setAttribute("app.more", 1);
    await publish();
    expect(seen.length).toBeGreaterThan(before);
    expect(stage.document("s").spans.find(({ name }) => name === "work")?.attributes).toMatchObject({
      "app.more": 1,
    });
    span.end();
    await processor.shutdown();
  });
});

describe("P9 secrets beside long base64", () => {
  const key = `sk-ant-${"a1".repeat(20)}`;

  it.each<[string, string]>([
    ["before it", `token ${key} ${dataUrl}`],
    ["after it", `${dataUrl} token ${key}`],
    ["between two", `${dataUrl}" ${key} "${dataUrl}`],
    ["as a value that begins before it", `{"password":"${key}${image}"}`],
  ])("P9 are found %s", (_, text) => {
    const shown = String(redactSecrets()(text, "input"));
    expect(shown).not.toContain(key);
    expect(shown).toContain(image.slice(500_000, 1_000_000));
  });

  it("P9 of a program's own pattern are found inside of it", () => {
    const pattern = new RegExp(image.slice(1_000_000, 1_000_020).replace(/[+/]/g, "\\$&"), "g");
    expect(redactSecrets({ patterns: [pattern] })(image, "input")).toContain("[redacted:custom]");
  });
});

describe("P6 an image above the limit of values", () => {
  it("P6 loses only the excess, visibly", async () => {
    const { processor, tracer } = recorder({ maxValueBytes: 1_000_000 });
    tracer
      .startSpan("work", {
        attributes: { "session.id": "s", "openinference.span.kind": "CHAIN", "input.value": image },
      })
      .end();
    await processor.shutdown();
    const { input } = stage.document("s").spans[0] as { input: string };
    expect(Buffer.byteLength(input)).toBeLessThanOrEqual(1_000_000);
    const [kept = "", cut] = input.split("…[");
    expect(image.startsWith(kept)).toBe(true);
    expect(cut).toBe(`${image.length - kept.length} bytes cut]`);
    expect(kept.length).toBeGreaterThan(999_900);
  });
});

describe("P14 the output of a logged tool", () => {
  const outputOf = async (output: unknown): Promise<unknown> => {
    const tracing = createSessionTracing({ dir: stage.dir });
    const tracer = tracing.tracer("s");
    tracer.logToolCall({ tool: "t", callID: "c", state: { status: "completed", output } } as never);
    await tracing.shutdown();
    return stage.document("s").spans.find(({ kind }) => kind === "tool")?.output;
  };

  it.each<[string, () => unknown, string]>([
    ["an object", () => ({ a: [1, { b: "x" }] }), '{"a":[1,{"b":"x"}]}'],
    ["a list of objects", () => [{ a: 1 }, 2], '[{"a":1},2]'],
    ["a Map", () => new Map([["a", 1]]), '{"a":1}'],
    ["an object without a prototype", () => Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ["a list of texts, as before", () => ["a", "b"], "a,b"],
    ["an Error, as before", () => new Error("no"), "Error: no"],
    ["a URL, as before", () => new URL("http://localhost/x"), "http://localhost/x"],
  ])("P14 %s is written as text", async (_, output, text) => {
    expect(await outputOf(output())).toBe(text);
  });

  it.each<[string, () => unknown]>([
    ["a Uint8Array", () => new Uint8Array(bytes)],
    ["a Buffer", () => bytes],
    ["an ArrayBuffer", () => new Uint8Array(bytes).buffer],
  ])("P14 %s is whole, as base64", async (_, output) => {
    expect((await outputOf(output())) === image).toBe(true);
  });

  it("P14 an object with bytes is whole, as JSON", async () => {
    const text = await outputOf({ content: [{ type: "image", data: new Uint8Array(bytes) }] });
    expect(text === JSON.stringify({ content: [{ type: "image", data: image }] })).toBe(true);
  });

  it("P14 a large object without bytes is cut as a text is", async () => {
    const text = await outputOf({ lines: Array.from({ length: 5_000 }, (_, line) => `line ${line}`) });
    expect(String(text)).toHaveLength(10_000);
    expect(text).toMatch(/… \[\d+ characters cut\]$/);
  });

  it("P14 an input with bytes has them as base64", async () => {
    const tracing = createSessionTracing({ dir: stage.dir });
    const input = { image: new Uint8Array(bytes), raw: bytes };
    tracing
      .tracer("s")
      .logToolCall({ tool: "t", callID: "c", state: { status: "completed", input, output: "" } });
    await tracing.shutdown();
    const tool = stage.document("s").spans.find(({ kind }) => kind === "tool");
    expect(isDeepStrictEqual(tool?.input, { image, raw: image })).toBe(true);
  });
});
