/** Session ids that are no texts: numbers, and values that cannot be ids. */
import { DiagLogLevel, diag, ROOT_CONTEXT } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Trace } from "../../src/altimate.js";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../src/index.js";
import { getSessionId, setSessionId } from "../../src/otel/session-context.js";
import { Stage } from "../support/session-stage.js";
import { tracerInto } from "../support/span-processor-stage.js";

const warnings: string[] = [];
let stage: Stage;
beforeEach(() => {
  stage = new Stage();
  warnings.length = 0;
  const ignored = () => {};
  // The SDK warns as well of an attribute that is no text, number or list.
  const warn = (message: string) => void (message.startsWith("session id: ") && warnings.push(message));
  const logger = { error: ignored, warn, info: ignored, debug: ignored, verbose: ignored };
  diag.setLogger(logger, DiagLogLevel.WARN);
});
afterEach(() => {
  diag.disable();
  stage.remove();
});

function recorder(options: object = {}) {
  const exporter = new CrashSafeFileSpanExporter({ dir: stage.dir, ...options });
  const processor = new CrashSafeSpanProcessor(exporter);
  return { exporter, processor, tracer: tracerInto(processor) };
}

describe("a session id that is a number", () => {
  it("P11 is accepted as an attribute", async () => {
    const { processor, tracer } = recorder();
    tracer.startSpan("work", { attributes: { "session.id": 42 } }).end();
    await processor.shutdown();
    expect(stage.document("42")).toMatchObject({ id: "42", spans: [{ name: "work" }, {}] });
  });

  it("P11 is accepted in the context", async () => {
    const { processor, tracer } = recorder();
    expect(getSessionId(setSessionId(ROOT_CONTEXT, 0))).toBe("0");
    tracer.startSpan("work", {}, setSessionId(ROOT_CONTEXT, 42)).end();
    await processor.shutdown();
    expect(stage.document("42").id).toBe("42");
  });

  it("P11 is accepted from the option sessionId", async () => {
    const { processor, tracer } = recorder({ sessionId: () => 42 });
    tracer.startSpan("work").end();
    await processor.shutdown();
    expect(stage.document("42").id).toBe("42");
  });

  it("P11 is accepted by endSession and tracePath", async () => {
    const { exporter, processor, tracer } = recorder();
    tracer.startSpan("work", { attributes: { "session.id": 42 } }).end();
    await exporter.endSession(42);
    expect(exporter.tracePath(42)).toBe(`${stage.dir}/42.json`);
    expect(stage.document("42").summary.status).toBe("completed");
    expect(stage.files).toEqual(["42.json"]);
    expect(await Trace.loadTrace(42, stage.dir)).toMatchObject({ id: "42" });
    await processor.shutdown();
  });
});

describe.each([
  ["NaN", Number.NaN],
  ["an object", { id: 1 }],
  ["a list", ["ses_1"]],
  ["true", true],
])("a session id that is %s", (_, id) => {
  it("P11 names no session, and one line of the log says so", async () => {
    const { processor, tracer } = recorder({ sessionId: () => id });
    const context = setSessionId(ROOT_CONTEXT, id as never);
    expect(getSessionId(context)).toBeUndefined();
    tracer.startSpan("work", { attributes: { "session.id": id as never } }, context).end();
    tracer.startSpan("work", { attributes: { "session.id": id as never } }, context).end();
    await processor.shutdown();
    expect(stage.files.filter((name) => !/^[0-9a-f]{32}\.json$/.test(name))).toEqual([]);
    expect(new Set(warnings).size).toBe(warnings.length);
  });
});

it("P11 a value that is no session id is logged once for each place", async () => {
  vi.resetModules();
  const fresh = await import("../../src/otel/session-context.js");
  fresh.setSessionId(ROOT_CONTEXT, Number.NaN);
  fresh.setSessionId(ROOT_CONTEXT, Number.NaN);
  await new Promise(setImmediate);
  expect(warnings).toEqual([
    "session id: the id of setSessionId is NaN, which names no session; it must be a text or a number",
  ]);
});

describe("a call of setSessionId without a context", () => {
  it.each([undefined, null, "ses_1", 7, {}])(
    "P11 P6 takes the active one, and one line of the log says so: %s",
    (given) => {
      const lines: string[] = [];
      const warn = (message: string) => void lines.push(message);
      const ignored = () => {};
      diag.setLogger(
        { error: ignored, warn, info: ignored, debug: ignored, verbose: ignored },
        DiagLogLevel.WARN,
      );
      lines.length = 0;
      expect(getSessionId(setSessionId(given as never, "ses_2"))).toBe("ses_2");
      expect(getSessionId(given as never)).toBeUndefined();
      expect(lines.length).toBeLessThan(2);
      for (const line of lines) expect(line).toContain("the context of setSessionId is ");
    },
  );
});
