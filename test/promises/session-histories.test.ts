/**
 * Random histories of a session: processes start and end spans, wait for tools, leave, fail, and die, some of them beside each
 * other. The final summary follows from the history alone, whichever process looked first, and whenever it looked.
 */
import { utimesSync } from "node:fs";
import { join } from "node:path";
import type { Span, Tracer } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { provisionalFence } from "../../src/otel/types.js";
import type { Actor } from "../support/session-stage.js";
import { isTorture, runSeed, trials } from "../support/trials.js";
import { passTick, TwinStage } from "../support/twin-stage.js";

const id = "ses_1";
const inSession = { attributes: { "session.id": id } };
const deeds = [
  "start",
  "end",
  "ask for tools",
  "answer",
  "leave",
  "fail",
  "die",
  "get SIGTERM",
  "hear SIGTERM",
] as const;
interface Step {
  /** `end late`: a span ends also while the verdict of a hook on its process stands. */
  readonly deed: (typeof deeds)[number] | "end late";
  readonly process: number;
}

/** `never`: one recovery at the end. `always`: a recovery after each step. `publishing`: each process flushes, too. */
const looks = ["never", "always", "publishing"] as const;

interface Words {
  readonly status: string | undefined;
  readonly interrupted: number;
  readonly detector: string | undefined;
}

interface Writer {
  open: number;
  waits: boolean;
  /** It has heard SIGTERM before. */
  readonly hasHeard?: true;
}

/** What the summary must say. */
class Reference {
  readonly #writers = new Map<number, Writer>();
  /** Writers that a process hook has ended: they count as gone until they go on. */
  readonly #fenced = new Map<number, Writer>();
  #status: "completed" | "error" | "crashed" | undefined;
  #hasFailed = false;
  #interrupted = 0;
  /** What ended writers that were under way, the last one last. */
  #lost: { readonly process: number | undefined; readonly detector: string }[] = [];
  #isLastDead = false;

  follow({ deed, process }: Step): void {
    const isWork = deed === "start" || deed === "ask for tools" || deed === "answer";
    if (isWork || deed === "leave" || deed === "fail") this.#goOn(process);
    const writer = this.#writers.get(process);
    if (isWork) {
      this.#join();
      const next = writer ?? { open: 0, waits: false };
      if (deed === "start") next.open++;
      else next.waits = deed === "ask for tools";
      this.#writers.set(process, next);
    } else if (deed === "end" || deed === "end late") {
      if (writer && writer.open > 0) writer.open--;
      else if (deed === "end late") this.#endLate(this.#fenced.get(process));
    } else if (writer) {
      this.#writers.delete(process);
      this.#interrupted += writer.open;
      const isHook = deed === "get SIGTERM" || deed === "hear SIGTERM";
      this.#isLastDead = isHook || deed === "die";
      const isCut = this.#isLastDead && (writer.open > 0 || writer.waits);
      if (isCut)
        this.#lost.push({ process, detector: isHook || writer.hasHeard ? "SIGTERM" : "process gone" });
      if (deed === "fail") this.#hasFailed = true;
      this.#status = isCut ? "crashed" : this.#hasFailed ? "error" : "completed";
      if (deed === "hear SIGTERM") this.#fenced.set(process, writer);
    }
    if (deed === "die" || deed === "get SIGTERM") this.#fenced.delete(process);
    // What is known of a process that is gone stays.
    if (!this.#writers.has(process) && !this.#fenced.has(process))
      this.#lost = this.#lost.map((one) => (one.process === process ? { ...one, process: undefined } : one));
  }

  /** The span was not interrupted after all; the verdict stays. */
  #endLate(fenced: Writer | undefined): void {
    if (!fenced || fenced.open === 0) return;
    fenced.open--;
    this.#interrupted--;
  }

  /** A process that a hook has fenced lives on: it takes the verdict back. */
  #goOn(process: number): void {
    const writer = this.#fenced.get(process);
    if (!writer) return;
    this.#fenced.delete(process);
    this.#interrupted -= writer.open;
    this.#lost = this.#lost.filter((one) => one.process !== process);
    this.#writers.set(process, { ...writer, hasHeard: true });
  }

  /** Only a writer that leaves in good order ends what failed before: an error outlives a death, as it outlives a peer. */
  #join(): void {
    if (this.#writers.size === 0 && !this.#isLastDead) this.#hasFailed = false;
  }

  get words(): Words {
    return {
      status: this.#status,
      interrupted: this.#interrupted,
      detector: this.#lost.at(-1)?.detector,
    };
  }
}

const twins = new TwinStage();

/** A process, as far as the library can see. */
class Life {
  readonly #actor: Actor;
  readonly #tracer: Tracer;
  readonly #tokens: string[] = [];
  #open: Span[] = [];
  #isFenced = false;

  constructor() {
    const { liveness } = twins.stage;
    const newToken = () => {
      const token = liveness.newToken();
      this.#tokens.push(token);
      return token;
    };
    this.#actor = twins.actor({}, { liveness: { newToken, verdict: (token) => liveness.verdict(token) } });
    this.#tracer = new BasicTracerProvider({ spanProcessors: [this.#actor.processor] }).getTracer("agent");
  }

  /** Returns whether the process lives on. */
  async do(deed: Step["deed"]): Promise<boolean> {
    const { exporter, processor } = this.#actor;
    if (!deed.startsWith("end") && deed !== "hear SIGTERM") this.#isFenced = false;
    switch (deed) {
      case "start":
        this.#open.push(this.#tracer.startSpan("work", inSession));
        return true;
      case "end late":
        this.#open.shift()?.end();
        return true;
      case "end":
        // A span that ends while a verdict stands is a step of its own.
        if (!this.#isFenced) this.#open.shift()?.end();
        return true;
      case "ask for tools":
      case "answer": {
        const reasons = [deed === "answer" ? "stop" : "tool_calls"];
        const attributes = { "gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": reasons };
        this.#tracer.startSpan("chat", { attributes: { ...inSession.attributes, ...attributes } }).end();
        return true;
      }
      case "fail":
        this.#open = [];
        await exporter.endSession(id, { error: "out of tokens" });
        return true;
      case "leave":
        await processor.shutdown();
        return false;
      case "get SIGTERM":
        exporter[provisionalFence]("Received SIGTERM", "SIGTERM");
        this.#die();
        return false;
      case "hear SIGTERM":
        exporter[provisionalFence]("Received SIGTERM", "SIGTERM");
        this.#isFenced = true;
        // What starts in the millisecond of the hook started before it.
        passTick();
        return true;
      case "die":
        this.#die();
        return false;
    }
  }

  flush(): Promise<void> {
    return this.#actor.processor.forceFlush();
  }

  /** The heartbeat of a process: of several that are found dead at once, the one that died last wrote last. */
  beat(): void {
    for (const name of twins.files)
      if (name.endsWith(".live") && this.#tokens.some((token) => name.includes(token)))
        utimesSync(join(twins.stage.dir, name), new Date(), new Date());
  }

  #die(): void {
    for (const token of this.#tokens) twins.stage.liveness.dead.add(token);
  }
}

const steps = fc.array(
  fc.record({ deed: fc.constantFrom(...deeds), process: fc.integer({ min: 0, max: 2 }) }),
  { minLength: 2, maxLength: 12 },
);

/** A process hears SIGTERM with two spans open, and one ends while the verdict stands. */
const underVerdict: readonly Step[] = (["start", "start", "hear SIGTERM", "end late"] as const).map(
  (deed) => ({
    deed,
    process: 0,
  }),
);
/** What this process and another one do then. */
const afterVerdict = fc.array(
  fc.record({
    deed: fc.constantFrom<Deed>(
      "start",
      "end late",
      "hear SIGTERM",
      "ask for tools",
      "answer",
      "leave",
      "die",
    ),
    process: fc.integer({ min: 0, max: 1 }),
  }),
  { maxLength: 6 },
);

/** What the summary says when all processes are gone. */
async function live(history: readonly Step[], look: (typeof looks)[number]): Promise<Words> {
  const lives = new Map<number, Life>();
  for (const { deed, process } of history) {
    const one = lives.get(process) ?? new Life();
    lives.set(process, one);
    const goesOn = await one.do(deed);
    if (!goesOn) {
      lives.delete(process);
      passTick();
      for (const other of lives.values()) other.beat();
    }
    if (look === "publishing") for (const other of lives.values()) await other.flush();
    if (look !== "never") await twins.recover();
  }
  await twins.recover();
  const { status, interrupted, detector } = twins.document(id).summary;
  return { status, interrupted: interrupted ?? 0, detector };
}

type Deed = Step["deed"];

/** Histories whose summary once depended on which process looked first, and how all processes end after them. */
const known: readonly (readonly [history: string, last: Deed])[] = [
  ["0 start, 0 die, 1 start, 1 end", "leave"],
  ["0 start, 0 die, 1 start, 1 end", "die"],
  ["0 start, 1 start, 0 fail, 0 start", "leave"],
  ["0 start, 1 start, 0 get SIGTERM, 1 leave, 0 answer", "die"],
  ["0 start, 0 get SIGTERM, 0 start, 1 answer", "die"],
  ["1 answer, 0 ask for tools, 0 get SIGTERM, 0 start", "die"],
  ["0 start, 0 get SIGTERM, 0 start, 0 die, 1 start, 1 end", "leave"],
  ["0 start, 1 start, 0 fail, 1 die, 2 start, 2 end", "leave"],
  ["0 start, 1 answer, 0 fail, 1 die, 2 start, 2 end", "leave"],
  ["0 start, 1 answer, 0 fail, 1 get SIGTERM, 2 start, 2 end", "die"],
  ["0 start, 1 answer, 0 hear SIGTERM, 1 answer, 0 die, 1 answer", "leave"],
  ["0 start, 0 hear SIGTERM, 1 answer, 0 die, 1 answer", "leave"],
  ["0 start, 0 hear SIGTERM, 1 answer, 0 answer, 1 answer", "leave"],
  ["0 start, 1 answer, 0 hear SIGTERM, 0 end, 1 leave", "leave"],
  ["0 answer, 2 start, 0 hear SIGTERM, 2 get SIGTERM, 0 leave", "leave"],
  ["0 start, 0 start, 0 hear SIGTERM, 0 end late, 0 die, 0 start", "die"],
  ["0 start, 0 start, 0 hear SIGTERM, 0 end late, 1 start, 1 leave", "die"],
  ["0 start, 0 start, 0 hear SIGTERM, 0 end late, 1 start, 1 die", "die"],
  ["0 start, 0 start, 0 hear SIGTERM, 0 end late, 1 start, 1 die, 0 ask for tools", "die"],
  ["0 start, 0 start, 0 hear SIGTERM, 1 start, 1 leave, 0 end late", "die"],
  ["0 start, 0 start, 0 hear SIGTERM, 1 start, 1 leave, 0 end late, 0 get SIGTERM", "leave"],
  ["0 start, 0 start, 0 hear SIGTERM, 0 end late, 1 answer, 1 leave, 0 answer, 0 hear SIGTERM", "die"],
  ["1 answer, 0 answer, 0 fail, 2 start, 2 hear SIGTERM", "leave"],
];

const parsed = (history: string): readonly Step[] =>
  history.split(", ").map((step) => ({ process: Number(step[0]), deed: step.slice(2) as Deed }));

describe("P14 the final summary of a session follows from its history", () => {
  /** All processes end, so that the summary is final. */
  const whole = (history: readonly Step[], last: Deed): readonly Step[] => [
    ...history,
    ...[0, 1, 2].map((process) => ({ deed: last, process })),
  ];
  const expectReference = async (history: readonly Step[]) => {
    const reference = new Reference();
    for (const step of history) reference.follow(step);
    fc.pre(reference.words.status !== undefined);
    for (const look of looks) {
      twins.stage.clear();
      expect({ look, ...(await live(history, look)) }).toEqual({ look, ...reference.words });
    }
  };

  test.each(known)(
    "whichever process looked first, and whenever it looked: %s, then all %s",
    async (history, last) => {
      await expectReference(whole(parsed(history), last));
    },
  );

  test("and so it does when spans end while a verdict stands", { timeout: 3_600_000 }, async () => {
    const property = fc.asyncProperty(afterVerdict, fc.constantFrom<Deed>("leave", "die"), (more, last) =>
      expectReference(whole([...underVerdict, ...more], last)),
    );
    await fc.assert(property, { numRuns: trials(5, 500), seed: isTorture ? runSeed : 14 });
  });

  test("and so it does in random histories", { timeout: 3_600_000 }, async () => {
    const property = fc.asyncProperty(steps, fc.constantFrom<Deed>("leave", "die"), (given, last) =>
      expectReference(whole(given, last)),
    );
    await fc.assert(property, { numRuns: trials(3, 2_000), seed: isTorture ? runSeed : 14 });
  });
});
