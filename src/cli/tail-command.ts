/** `tail`: follows a session, and prints what each reading has that the one before had not. */

import { isoOrNull } from "../platform/epoch-time.js";
import {
  clockTime,
  cut,
  oneLine,
  padEnd,
  padStart,
  shortNumber,
  valueLine,
  widthOf,
} from "../text/display-text.js";
import { type Analysis, analyse, gistOf, type Node, nameOf, type SpanState } from "./analysis.js";
import { CommandError, defineCommand, type ExitCode, type Options, wholeNumber } from "./command.js";
import { newestOf } from "./newest-sessions.js";
import { type FoundSession, findSessions, ownersOf, type SessionState, writerOf } from "./session-catalog.js";
import { evidenceOf } from "./session-header.js";
import { pauseOf, type Reading, readings, sessionsIn } from "./session-readings.js";
import { type ReadSession, resolveSession } from "./session-reference.js";
import { spanSign, spanStyle, stateSigns, stateStyle } from "./signs.js";
import { spanTime } from "./span-time.js";
import type { Terminal } from "./terminal.js";

const defaultLines = 10;

/** Between two looks at an empty directory. */
const waitMillis = 200;

const options = {
  lines: {
    short: "n",
    value: "<number>",
    parse: wholeNumber(0),
    help: `events to begin with; default ${defaultLines}`,
  },
  exit: { help: "end when the session has ended; without it, wait for a resume until Ctrl-C" },
} as const satisfies Options;

export const tailCommand = defineCommand({
  usage: "[session]",
  about:
    "Follows a session, by default the latest: each start and end of a span as it happens, from all its writers, and what becomes of the session. Ctrl-C ends it.",
  examples: [
    ["tail", "the latest session"],
    ["tail ses_1 --exit", "until it ends"],
    ["tail ses_1 --json | jq -c .span.name", "one event a line, for programs"],
  ],
  options,
  async run({ terminal, dir, json, args, values }) {
    const found = await firstSession(args[0], dir, terminal, values.exit);
    if (!found) return exitCode(terminal);
    const follower = new Follower(found.files.name, terminal, json);
    let last = values.lines ?? defaultLines;
    for await (const reading of readings(found, terminal.signal, () => terminal.now())) {
      follower.take(reading, last);
      last = Number.POSITIVE_INFINITY;
      if (!values.exit) continue;
      if (follower.isOver) return 0;
      // No process writes to these files any more, so following them would show nothing new.
      if (reading instanceof CommandError && writerOf(ownersOf(found)) !== "alive") return 1;
    }
    return exitCode(terminal);
  },
});

const exitCode = ({ signal }: Terminal): ExitCode => (signal.reason === "SIGINT" ? 130 : 0);

/**
 * The session to follow. Without a name, waits for the first session of a directory that is empty, or that does not exist yet:
 * a name that is not right would be waited for as well, so that `--exit` takes no such directory.
 */
async function firstSession(
  reference: string | undefined,
  dir: string,
  terminal: Terminal,
  mustExist: boolean,
): Promise<FoundSession | undefined> {
  if (reference !== undefined && reference !== "latest") return resolveSession(reference, dir, terminal.cwd);
  for (let isWaiting = false; !terminal.signal.aborted; isWaiting = true) {
    const sessions = mustExist ? findSessions(dir) : sessionsIn(dir);
    const found = sessions.find(({ files }) => files.name === reference) ?? (await newestOf(sessions));
    if (found) return found;
    if (!isWaiting) terminal.note(`waiting for a session in ${dir}`);
    await pauseOf(waitMillis, terminal.signal);
  }
  return undefined;
}

class Follower {
  readonly #name: string;
  readonly #terminal: Terminal;
  readonly #json: boolean;
  readonly #states = new Map<string, SpanState>();
  #state: SessionState | undefined;
  #isGone = false;

  constructor(name: string, terminal: Terminal, json: boolean) {
    this.#name = name;
    this.#terminal = terminal;
    this.#json = json;
  }

  /** Whether the session has ended, and nothing shows that a process still writes to it. */
  get isOver(): boolean {
    return this.#isGone || (this.#state !== undefined && this.#state !== "running" && this.#state !== "idle");
  }

  /** Prints what has happened since the last reading; the last `most` events. */
  take(session: Reading, most: number): void {
    this.#isGone = session === "removed";
    if (session === "removed" || session instanceof CommandError) {
      this.#terminal.note(session === "removed" ? `${this.#name} was removed` : oneLine(session.message));
      return;
    }
    const analysis = analyse(session.trace);
    const events = this.#eventsOf(analysis);
    for (const event of events.slice(Math.max(0, events.length - most)))
      this.#print(event, session, analysis);
    if (session.state !== this.#state) {
      this.#state = session.state;
      this.#printState(session, analysis);
    }
  }

  #eventsOf({ nodes, to, trace }: Analysis): Event[] {
    const events: Event[] = [];
    for (const node of nodes) {
      const { span, state } = node;
      const key = `${span.traceId ?? trace.traceId} ${span.spanId}`;
      const before = this.#states.get(key);
      if (before === state) continue;
      this.#states.set(key, state);
      if (before === undefined && span.kind !== "user-message")
        events.push({ type: "start", at: span.startTime, node });
      if (state !== "running") events.push({ type: "end", at: span.endTime ?? to, node });
    }
    return events.sort((a, b) => a.at - b.at || rankOf(a) - rankOf(b) || depthOf(b) - depthOf(a));
  }

  #print({ type, at, node }: Event, session: ReadSession, { to }: Analysis): void {
    const { span, state, turn, depth } = node;
    if (this.#json) {
      this.#terminal.printJsonLine("tail/1", {
        event: type,
        at: isoOrNull(at),
        session: session.id,
        turn,
        span: session.whole(span),
      });
      return;
    }
    const { colors, columns } = this.#terminal;
    const isStart = type === "start";
    const isMessage = span.kind === "user-message";
    const sign = isMessage ? "›" : isStart ? "▶" : state === "ok" ? "✓" : spanSign(state);
    const style = isStart
      ? colors.cyan
      : isMessage
        ? colors.magenta
        : state === "ok"
          ? colors.green
          : spanStyle(state, this.#terminal);
    const time = isStart || isMessage ? "" : spanTime(span, to);
    const tokens = !isStart && span.tokens ? `${shortNumber(span.tokens.total)} tokens` : "";
    const start = `${colors.dim(clockTime(at))} ${style(`${sign} ${padStart(time, 7)}`)}  ${"  ".repeat(Math.min(8, Math.max(0, depth - 1)))}`;
    const name = isMessage ? "user" : oneLine(nameOf(span));
    const detail =
      state === "failed" && !isStart
        ? oneLine(span.statusMessage ?? "")
        : isMessage || (isStart && span.kind === "tool")
          ? valueLine(gistOf(span.input))
          : tokens;
    const room = columns - widthOf(start);
    const shown = cut(name, room);
    this.#terminal.print(
      `${start}${shown}${colors.dim(cut(detail ? `  ${detail}` : "", room - widthOf(shown)))}`,
    );
  }

  #printState(session: ReadSession, { to }: Analysis): void {
    const { state, id, trace } = session;
    const evidence = evidenceOf(session);
    if (this.#json) {
      const { summary } = trace;
      this.#terminal.printJsonLine("tail/1", {
        event: "session",
        at: isoOrNull(to),
        session: id,
        status: state,
        evidence,
        summary,
      });
      return;
    }
    const { colors, columns } = this.#terminal;
    const line = `${stateSigns[state]} ${padEnd(state, 7)}  ${oneLine(id)}${evidence ? ` · ${oneLine(evidence)}` : ""}`;
    this.#terminal.print(
      `${colors.dim(clockTime(to))} ${stateStyle(state, this.#terminal)(cut(line, columns - 13))}`,
    );
  }
}

/** The order of events of one moment: ends, starts, ends of spans that took no time, ends that a death gave. */
function rankOf({ type, node: { span, state } }: Event): number {
  if (type === "start") return 1;
  if (state === "cut") return 3;
  // A message of a user has no start, and comes before what it starts.
  return span.endTime === span.startTime && span.kind !== "user-message" ? 2 : 0;
}

/** A death ends the inner spans first. */
const depthOf = (event: Event): number => (rankOf(event) === 3 ? event.node.depth : 0);

interface Event {
  readonly type: "start" | "end";
  /** Epoch milliseconds. */
  readonly at: number;
  readonly node: Node;
}
