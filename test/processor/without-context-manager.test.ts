/** `setSessionId` in a program without a context manager: `context.with` passes no context on there. */
import { context, diag, ROOT_CONTEXT } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { InMemorySpanExporter } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { listenToDiag, tracerInto } from "../support/span-processor-stage.js";

let reported: string[];
// The warning comes once per process.
const { setSessionId, CrashSafeSpanProcessor } = await (async () => {
  vi.resetModules();
  const [session, processor] = await Promise.all([
    import("../../src/otel/session-context.js"),
    import("../../src/processor/span-processor.js"),
  ]);
  return { ...session, ...processor };
})();
beforeEach(() => {
  reported = listenToDiag();
});
afterEach(() => {
  context.disable();
  diag.disable();
});

const newTracer = () => tracerInto(new CrashSafeSpanProcessor(new InMemorySpanExporter()));

it("P11 is not logged before a call of setSessionId, nor where a manager or the program passes the context on", () => {
  const tracer = newTracer();
  tracer.startSpan("without any session").end();
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  context.with(setSessionId(context.active(), "ses_1"), () => {});
  tracer.startSpan("outside").end();
  expect(reported).toEqual([]);
});

it("P11 is logged once, at the first root span without a session", () => {
  const tracer = newTracer();
  for (const id of ["ses_1", "ses_2"])
    context.with(setSessionId(context.active(), id), () => tracer.startSpan("agent").end());
  expect(reported).toEqual([
    expect.stringMatching(/^setSessionId: .*no context manager.*AsyncLocalStorageContextManager/),
  ]);
});

it("P11 is not logged for a program that passes the context itself", () => {
  const tracer = newTracer();
  tracer.startSpan("agent", {}, setSessionId(ROOT_CONTEXT, "ses_1")).end();
  tracer.startSpan("other").end();
  expect(reported).toEqual([]);
});
