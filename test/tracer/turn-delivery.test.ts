/** Flushes of backends at the end of a turn. */
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { createSessionTracing, TurnDelivery } from "../../src/tracer/session-tracing.js";
import { logTurn } from "../support/logged-turn.js";
import { failure, listenToDiag, ScriptedExporter } from "../support/span-processor-stage.js";

/** A backend whose flushes end on request. */
function backend() {
  const flushes: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  const forceFlush = () => new Promise<void>((resolve, reject) => flushes.push({ resolve, reject }));
  return { flushes, forceFlush };
}

const turnOfLoop = () => new Promise((done) => setImmediate(done));

test("turns that end during a flush are sent by one more flush", async () => {
  const { flushes, forceFlush } = backend();
  const delivery = new TurnDelivery([{ forceFlush }]);
  delivery.send();
  delivery.send();
  delivery.send();
  expect(flushes).toHaveLength(1);
  flushes[0]?.resolve();
  await turnOfLoop();
  expect(flushes).toHaveLength(2);
  flushes[1]?.resolve();
  await turnOfLoop();
  expect(flushes).toHaveLength(2);
  delivery.send();
  expect(flushes).toHaveLength(3);
});

test("P6 a backend that fails or throws stops neither the turn nor the next", async () => {
  const { flushes, forceFlush } = backend();
  const throwing = {
    forceFlush() {
      throw new Error("no");
    },
  };
  const delivery = new TurnDelivery([throwing, { forceFlush }]);
  delivery.send();
  flushes[0]?.reject(new Error("down"));
  await turnOfLoop();
  delivery.send();
  expect(flushes).toHaveLength(2);
});

test("P6 a backend that is down is logged once, and not once per turn", async () => {
  const logged: string[] = [];
  const log = (...words: unknown[]) => void logged.push(String(words[0]));
  const logger = { error: log, warn: log, info: log, debug: log, verbose: log };
  diag.setLogger(logger, { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true });
  logged.length = 0;
  const delivery = new TurnDelivery([{ forceFlush: async () => Promise.reject(new Error("down")) }]);
  for (let turn = 0; turn < 100; turn++) {
    delivery.send();
    await turnOfLoop();
  }
  const ours = logged.splice(0);
  diag.disable();
  expect(ours).toEqual(["SessionTracing: the flush at the end of a turn failed"]);
});

test("P6 a logger that throws during the report does not stop them either", async () => {
  let isReady = false;
  const shout = () => {
    if (isReady) throw new Error("logger");
  };
  const logger = { error: shout, warn: shout, info: shout, debug: shout, verbose: shout };
  diag.setLogger(logger, { logLevel: DiagLogLevel.ALL, suppressOverrideMessage: true });
  isReady = true;
  const { flushes, forceFlush } = backend();
  const delivery = new TurnDelivery([{ forceFlush }]);
  delivery.send();
  flushes[0]?.reject(new Error("down"));
  await turnOfLoop();
  delivery.send();
  expect(flushes).toHaveLength(2);
  isReady = false;
  diag.disable();
});

test("P6 a backend that refuses every turn is logged once per window, not once per turn", async () => {
  const logged = listenToDiag();
  let exports = 0;
  const exporter = new ScriptedExporter((call) => {
    exports++;
    call.answer(failure("down"));
  });
  const tracing = createSessionTracing({ exporter });
  const tracer = tracing.tracer("a");
  const turns = 50;
  for (let turn = 1; turn <= turns; turn++) {
    logTurn(tracer, turn);
    tracer.endTurn();
    // The batch queue and the flush of the turn need a few turns of the loop.
    while (exports < turn) await turnOfLoop();
  }
  await tracing.shutdown();
  diag.disable();
  const [first, ...more] = logged;
  expect(first).toMatch(/^CrashSafeSpanProcessor: \d+ spans were not exported: /);
  // The counts of a first window that may end during the test, and of the shutdown.
  expect(more.length).toBeLessThanOrEqual(3);
  for (const message of more)
    expect(message).toMatch(/^CrashSafeSpanProcessor: \d+ more spans were not exported/);
});
