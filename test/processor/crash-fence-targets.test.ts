/** What the hooks of every copy of the package call on the targets of this copy. */
import { afterEach, expect, it } from "vitest";
import { installCrashFence } from "../../src/processor/crash-fence.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { Stage } from "../support/session-stage.js";

interface Claim {
  readonly target: { readonly stopped?: boolean; crash(reason?: string): void };
}

/** The claims as version 0.1.0 finds them, whose hooks call `target.crash(reason)`. */
const claims = (): Claim[] => {
  const slot = Symbol.for("opentelemetry-exporter-crash-safe-file/fence/1");
  const { claims: all } = (globalThis as unknown as Record<symbol, { claims: Set<Claim> }>)[slot] ?? {};
  return [...(all ?? [])];
};

let stage: Stage;
let uninstall = () => {};
afterEach(() => {
  uninstall();
  stage.remove();
});

it("P11 the hooks of a copy of version 0.1.0 fence a processor of this copy provisionally", async () => {
  stage = new Stage();
  const actor = stage.actor();
  uninstall = installCrashFence(actor.processor, { signals: false }).uninstall;
  const open = actor.start("s");
  for (const { target } of claims()) if (!target.stopped) target.crash("Received SIGTERM");
  expect(stage.document("s").summary).toMatchObject({ status: "crashed", detector: "SIGTERM" });
  actor.record("s", 1);
  actor.end(open);
  await actor.processor.shutdown();
  const { summary, spans } = stage.document("s");
  expect(summary).toMatchObject({ status: "completed" });
  expect(spans.filter((span) => span.interrupted)).toEqual([]);
  expect(claims().map(({ target }) => target.stopped)).toEqual([true]);
});

it("P11 a session tracer logs on after the fence of a hook", async () => {
  stage = new Stage();
  const tracing = createSessionTracing({ dir: stage.dir });
  uninstall = installCrashFence(tracing, { signals: false }).uninstall;
  const tracer = tracing.tracer("s", { title: "before" });
  tracer.logUserMessage("first");
  tracer.logStepStart({ id: "1" });
  for (const { target } of claims()) target.crash("Uncaught exception: boom");
  expect(stage.document("s").summary).toMatchObject({
    status: "crashed",
    error: "Uncaught exception: boom",
  });

  tracer.setTitle("after");
  tracer.logText({ text: "answer" });
  tracer.logStepFinish({
    id: "1",
    reason: "stop",
    cost: 1,
    tokens: { input: 1, output: 2, reasoning: 0, cache: { read: 0, write: 0 } },
  });
  await tracer.flush();
  expect(stage.document("s").summary).toMatchObject({ status: "crashed" });
  tracer.logUserMessage("second");
  await tracer.endTrace();

  const { summary, spans, metadata } = stage.document("s");
  expect(summary).toMatchObject({ status: "completed", totalGenerations: 1, totalCost: 1, totalTokens: 3 });
  expect(metadata.title).toBe("after");
  expect(spans.map(({ name }) => name)).toEqual(["user-message", "generation-1", "user-message", "s"]);
  expect(spans.some((span) => span.interrupted)).toBe(false);
  expect(stage.files).toEqual(["s.json"]);
  await tracing.shutdown();
});

it("P3 after `flushSync` a hook changes nothing, and neither does a later call", async () => {
  stage = new Stage();
  const tracing = createSessionTracing({ dir: stage.dir });
  uninstall = installCrashFence(tracing, { signals: false }).uninstall;
  const tracer = tracing.tracer("s");
  tracer.logStepStart({ id: "1" });
  tracer.flushSync("by hand");
  const fenced = stage.bytes("s");
  for (const { target } of claims()) target.crash("Received SIGTERM");
  tracer.logStepStart({ id: "2" });
  await tracing.shutdown();
  expect(stage.bytes("s")).toBe(fenced);
});
