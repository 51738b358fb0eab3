/** The stage of the altimate tests: a directory, scripted exporters, and a turn of an agent. */
import { Trace, type TraceExporter } from "../../src/altimate.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { stateOf } from "./state-of.js";

/** An exporter that keeps the documents it gets, and returns the scripted result. */
export class Kept implements TraceExporter {
  readonly got: TraceFile[] = [];
  readonly crashed: string[] = [];
  readonly name = "kept";

  constructor(
    readonly answer: (trace: TraceFile) => unknown = () => undefined,
    readonly live = false,
  ) {}

  export(trace: TraceFile): Promise<string | undefined> {
    this.got.push(trace);
    return this.answer(trace) as Promise<string | undefined>;
  }

  markCrashed(sessionId: string): void {
    this.crashed.push(sessionId);
  }
}

export const answering = (answer: unknown) => new Kept(async () => answer);
export const live = (answer?: (trace: TraceFile) => unknown) => new Kept(answer, true);
export const never = () => new Promise(() => {});
export const statuses = ({ got }: Kept) => got.map(({ summary }) => stateOf(summary));
export const sessions = ({ got }: Kept) => got.map(({ id }) => id);
export const tools = ({ spans }: TraceFile) =>
  spans.filter(({ kind }) => kind === "tool").map(({ name }) => name);

/** Resolves with the value of `wait` once `release` is called. */
export function gate() {
  let release = () => {};
  const wait = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { wait, release };
}

export async function turnsOfTheLoop(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setImmediate(resolve));
}

/** A question, a generation with a tool call, and its end. */
export function turn(trace: Trace, number: number): void {
  trace.logUserMessage(`question ${number}`);
  trace.logStepStart({ id: `step ${number}` });
  trace.logToolCall({
    tool: `tool${number}`,
    callID: `call ${number}`,
    state: {
      status: "completed",
      input: { number },
      output: "out",
      time: { start: number, end: number + 5 },
    },
  });
  trace.logText({ text: `answer ${number}` });
  const tokens = { input: 10, output: 5, reasoning: 0, cache: { read: 0, write: 0 } };
  trace.logStepFinish({ id: `step ${number}`, reason: "stop", cost: 0.01, tokens });
}

/** A trace of a session that has started. */
export const started = (
  exporters: TraceExporter[],
  id = "ses_1",
  options?: Parameters<typeof Trace.withExporters>[1],
) => {
  const trace = Trace.withExporters(exporters, options);
  trace.startTrace(id, { title: "t" });
  return trace;
};
