/**
 * A model of the tracer that the altimate entry replaces, written from its contract: one synchronous object that keeps
 * every span in memory, and a map in place of the directory. The wanted deviations D4, D5, D6, D8, D10, D11, D12, D13 and D14 are in
 * the model, each where it is named; `comparable` leaves out the other ones.
 */
import { formatDuration } from "../../src/format/summary.js";
import type { SessionMetadata, TokenCounts, TraceFile, TraceSpan } from "../../src/format/trace-file.js";

type Fields = Omit<TraceSpan, "spanId" | "parentSpanId">;
type Part = Readonly<Record<string, unknown>> | null | undefined;

export interface ModelSpan extends Fields {
  readonly parent: ModelSpan | undefined;
}

interface Generation {
  readonly span: ModelSpan;
  readonly id: string;
  readonly messageId: string | undefined;
  readonly tools: string[];
  text: string;
}

/** A file of the model: the session, as every later call leaves it. */
export interface ModelSession {
  readonly sessionId: string;
  readonly startedAt: number;
  endedAt: number;
  metadata: SessionMetadata;
  readonly root: ModelSpan;
  /** In order of start, without the session span. */
  readonly spans: ModelSpan[];
  status: "running" | "completed" | "error" | "crashed";
  error?: string | undefined;
  /** The calls of tools that have ended, in order of their ends. */
  readonly calls: { name: string; key: string; durationMs: number; run: number }[];
  readonly loops: Map<string, { tool: string; count: number }>;
  runs: number;
  /** Nothing was logged since a resume, which does not write by itself. */
  isAsFound: boolean;
}

const text = (value: unknown): string | undefined => (value ? String(value) : undefined);
const finite = (value: unknown, fallback: number): number =>
  typeof value === "number" && Number.isFinite(value) ? value : fallback;
type Known<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };
const known = <T extends object>(fields: T): Known<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Known<T>;
const isSession = (value: unknown): value is object => typeof value === "object" && value !== null;

/** D6 a cut output ends in a marker with the number of characters that were cut. */
function shortened(output: string): string {
  if (output.length <= 10_000) return output;
  const kept = 10_000 - `… [${output.length} characters cut]`.length;
  return `${output.slice(0, kept)}… [${output.length - kept} characters cut]`;
}

export class OldTracerModel {
  readonly #files: Map<string, ModelSession>;
  readonly #pathOf: (sessionId: string) => string;
  #session: ModelSession | undefined;
  #open: Generation[] = [];
  #running: { span: ModelSpan; callId: string | undefined }[] = [];
  /** The last tool span, while it takes attributes. */
  #tool: ModelSpan | undefined;
  #results: string[] = [];
  #ended = new Set<string>();
  /** D10 the prompt with which a session goes on, until anything else is logged. */
  #prompt: string | undefined;

  constructor(files: Map<string, ModelSession>, pathOf: (sessionId: string) => string) {
    this.#files = files;
    this.#pathOf = pathOf;
  }

  get isOpen(): boolean {
    return this.#session?.status === "running";
  }

  startTrace(id: unknown, options?: Part): void {
    // D12 an open session ends first.
    this.finalizeSync();
    const sessionId = String(id ?? "") || "unknown";
    const metadata: SessionMetadata = {};
    for (const field of fields) {
      const value = options?.[field];
      if (value || value === "") metadata[field] = String(value);
    }
    const tags = options?.tags;
    if (Array.isArray(tags)) metadata.tags = tags.map(String);
    const { prompt } = metadata;
    const before = this.#files.get(sessionId);
    if (before) {
      // D10 a session with a document goes on, D4 also after a crash.
      this.#begin(before);
      before.runs++;
      Object.assign(before.metadata, metadata);
      if (!prompt) return;
      this.#prompt = undefined;
      this.#message(prompt);
      this.#prompt = prompt;
      return;
    }
    const now = Date.now();
    const root: ModelSpan = {
      parent: undefined,
      name: text(options?.instance_id) ?? sessionId,
      kind: "session",
      startTime: now,
      status: "ok",
      ...(prompt !== undefined && { input: prompt }),
    };
    this.#begin({
      sessionId,
      startedAt: now,
      endedAt: now,
      metadata,
      root,
      spans: [],
      status: "running",
      calls: [],
      loops: new Map(),
      runs: 0,
      isAsFound: false,
    });
  }

  enrichFromAssistant(info: Part): void {
    const { modelID, providerID, agent, variant } = info ?? {};
    this.#learn({
      model: modelID ? `${providerID ? String(providerID) : ""}/${modelID}` : undefined,
      providerId: text(providerID),
      agent: this.#session?.metadata.agent ? undefined : text(agent),
      variant: text(variant),
    });
  }

  setTitle(title: unknown, prompt?: unknown): void {
    this.#learn({ title: text(title), prompt: text(prompt) });
  }

  setPrompt(prompt: unknown): void {
    this.#learn({ prompt: text(prompt) });
  }

  applyOwuiContext(info: Part): void {
    const [userId, modelId, agent] = [text(info?.userId), text(info?.modelId), text(info?.agent)];
    const { model, tags = [] } = this.#session?.metadata ?? {};
    this.#learn({ userId, agent });
    if (modelId === undefined) return;
    const all = [...tags, modelId, ...(agent === undefined ? [] : [agent])];
    this.#learn({ owuiModel: modelId, model: model ? undefined : modelId, tags: [...new Set(all)] });
  }

  logUserMessage(given: unknown): void {
    if (!this.isOpen || given === undefined || given === null) return;
    const message = String(given);
    if (message !== "") this.#message(message);
  }

  logStepStart(part: Part): void {
    if (!this.#session || !this.isOpen) return;
    const { model, providerId, variant } = this.#session.metadata;
    const id = String(part?.id ?? "unknown");
    const named = known({ modelId: text(model), providerId: text(providerId), variant: text(variant) });
    const input = this.#results.join("\n");
    const isAnswer = this.#results.length > 0;
    this.#results = [];
    const span = this.#add(undefined, {
      name: `generation-${id}`,
      kind: "generation",
      startTime: Date.now(),
      status: "ok",
      ...(Object.keys(named).length > 0 && { model: named }),
      ...(isAnswer && { input }),
    });
    this.#open.push({ span, id, messageId: text(part?.messageID), tools: [], text: "" });
  }

  logText(part: Part): void {
    const generation = this.#find(part);
    const given = part?.text;
    if (!this.isOpen || !generation || given === undefined || given === null) return;
    generation.text += String(given);
    if (generation.text !== "") generation.span.output = generation.text;
  }

  logStepFinish(part: Part): void {
    const generation = this.#find(part);
    if (!this.isOpen || !generation) return;
    const tokens = part?.tokens as Part;
    const cache = tokens?.cache as Part;
    const parts: TokenCounts = {
      input: finite(tokens?.input, 0),
      output: finite(tokens?.output, 0),
      reasoning: finite(tokens?.reasoning, 0),
      cacheRead: finite(cache?.read, 0),
      cacheWrite: finite(cache?.write, 0),
    };
    const reason = part?.reason;
    this.#finish(generation, {
      ...(reason !== undefined && reason !== null && { finishReason: String(reason) }),
      cost: finite(part?.cost, 0),
      tokens: { ...parts, total: Object.values(parts).reduce((sum, count) => sum + count, 0) },
    });
  }

  logToolCall(part: Part): void {
    const state = part?.state as Part;
    if (!this.isOpen || !isSession(state)) return;
    const now = Date.now();
    const time = state.time as Part;
    const name = text(part?.tool) ?? "unknown";
    const callId = text(part?.callID);
    const start = finite(time?.start, now);
    const hasStart = start === time?.start;
    const call = `${callId} ${name}`;
    // D13 a call that was logged is ignored.
    if (callId !== undefined && hasStart && this.#ended.has(`${call} ${start}`)) return;
    // D14 a running call is a span at once.
    const isRunning = state.status === "running" || state.status === "pending";
    const before = this.#running.find(
      (one) => callId !== undefined && one.callId === callId && one.span.name === name,
    );
    const generation = this.#find({ messageID: part?.messageID });
    if (!before) generation?.tools.push(name);
    const startTime = before && (isRunning || !hasStart) ? before.span.startTime : start;
    const span =
      before?.span ?? this.#add(generation?.span, { name, kind: "tool", startTime, status: "ok", tool: {} });
    this.#prompt = undefined;
    Object.assign(span, {
      startTime,
      ...(state.input !== undefined && { input: state.input }),
      tool: { ...(callId !== undefined && { callId }) },
    });
    this.#tool = span;
    if (isRunning) {
      if (!before) this.#running.push({ span, callId });
      return;
    }
    const endTime = finite(time?.end, now);
    const durationMs = endTime - startTime;
    span.endTime = endTime;
    span.tool = { ...span.tool, durationMs };
    const output = String(state.output ?? "");
    if (state.status === "error") {
      const error = String(state.error ?? "");
      Object.assign(span, { status: "error", statusMessage: error, output: { error } });
      this.#results.push(`[${name}] error: ${error.slice(0, 200)}`);
    } else {
      span.output = shortened(output);
      this.#results.push(`[${name}] ${output.slice(0, 500)}`);
    }
    this.#running = this.#running.filter((one) => one !== before);
    if (callId !== undefined && (hasStart || before)) this.#ended.add(`${call} ${startTime}`);
    this.#count(span, durationMs);
  }

  logSpan(given: Part): void {
    if (!this.isOpen) return;
    const now = Date.now();
    const attributes = this.#attributes(given?.attributes);
    this.#add(undefined, {
      name: String(given?.name ?? "unknown"),
      kind: "span",
      startTime: finite(given?.startTime, now),
      endTime: finite(given?.endTime, now),
      status: given?.status === "error" ? "error" : "ok",
      ...known({ input: given?.input, output: given?.output }),
      ...(Object.keys(attributes).length > 0 && { attributes }),
    });
  }

  setSpanAttributes(given: unknown, target?: unknown): void {
    if (!this.#session || !this.isOpen) return;
    const added = this.#attributes(given);
    if (Object.keys(added).length === 0) return;
    const generation = this.#open.at(-1)?.span;
    const first = this.#tool ?? generation ?? this.#session.root;
    const span =
      target === "tool"
        ? this.#tool
        : target === "generation"
          ? generation
          : target === "session"
            ? this.#session.root
            : first;
    if (!span) return;
    span.attributes = { ...span.attributes, ...added };
    this.#session.isAsFound = false;
  }

  getTracePath(): string | undefined {
    return this.#session && this.#pathOf(this.#session.sessionId);
  }

  exportRemotes(): void {
    if (this.isOpen) this.#endTurn();
  }

  endTrace(error?: unknown): string | undefined {
    this.#end(error ? String(error) : undefined);
    return this.getTracePath();
  }

  finalizeSync(): string | undefined {
    this.#end(undefined);
    return this.getTracePath();
  }

  flushSync(error?: unknown): void {
    const session = this.#session;
    if (!session) return;
    const reason = error ? String(error) : undefined;
    // Of several calls the last message stays.
    if (session.status === "crashed" && (reason === undefined || reason === session.error)) return;
    const message = reason ?? "Process exited before trace completed";
    if (session.status === "running") this.#close(message);
    session.status = "crashed";
    session.error = message;
    session.endedAt = Date.now();
    session.isAsFound = false;
    const { root } = session;
    delete root.output;
    Object.assign(root, { endTime: session.endedAt, interrupted: true, status: "ok" });
    delete root.statusMessage;
    if (reason !== undefined) Object.assign(root, { status: "error", statusMessage: reason });
  }

  rehydrateFromFile(id: unknown): boolean {
    const sessionId = String(id ?? "") || "unknown";
    if (this.isOpen && this.#session?.sessionId === sessionId) return true;
    const file = this.#files.get(sessionId);
    if (!file) return false;
    this.finalizeSync();
    this.#begin(file);
    file.isAsFound = true;
    return true;
  }

  /** Starts or continues: D4, the end that the file states no longer counts. */
  #begin(session: ModelSession): void {
    this.#files.set(session.sessionId, session);
    this.#session = session;
    session.status = "running";
    session.error = undefined;
    session.isAsFound = false;
    const { root } = session;
    root.status = "ok";
    for (const member of ["endTime", "output", "statusMessage", "interrupted"] as const) delete root[member];
    this.#open = [];
    this.#running = [];
    this.#tool = undefined;
    this.#results = [];
    this.#prompt = undefined;
    const calls = session.spans.filter(({ kind, tool }) => kind === "tool" && tool?.callId !== undefined);
    this.#ended = new Set(calls.map(({ name, tool, startTime }) => `${tool?.callId} ${name} ${startTime}`));
  }

  #message(message: string): void {
    const isLogged = this.#prompt === message;
    this.#endTurn();
    if (isLogged) return;
    const now = Date.now();
    const input = message.slice(0, 4_000);
    const cut = message.length - input.length;
    const instant = { startTime: now, endTime: now, status: "ok" as const };
    const attributes = cut > 0 ? { attributes: { cut } } : {};
    this.#add(undefined, { name: "user-message", kind: "user-message", ...instant, input, ...attributes });
  }

  #endTurn(): void {
    this.#prompt = undefined;
    // An ended tool call takes attributes until its turn ends.
    if (this.#tool?.endTime !== undefined) this.#tool = undefined;
  }

  #end(error: string | undefined): void {
    const session = this.#session;
    // D8 an end stays.
    if (session?.status !== "running") return;
    this.#close(undefined);
    const now = Date.now();
    session.status = error === undefined ? "completed" : "error";
    session.error = error;
    session.endedAt = now;
    session.isAsFound = false;
    const { totalGenerations, totalToolCalls, totalTokens, totalCost } = summaryOf(session);
    const used = `${totalGenerations} generations, ${totalToolCalls} tool calls, ${totalTokens} tokens, $${totalCost.toFixed(4)}`;
    Object.assign(session.root, { endTime: now, output: error === undefined ? used : `Error: ${error}` });
    if (error !== undefined) Object.assign(session.root, { status: "error", statusMessage: error });
  }

  /** D11 what is open is interrupted. */
  #close(crash: string | undefined): void {
    const statusMessage = crash ?? "Interrupted: the turn was cut by the end of the session";
    const cut = { status: "error", statusMessage, interrupted: true } as const;
    for (const generation of [...this.#open]) this.#finish(generation, cut);
    const endTime = Date.now();
    for (const { span } of this.#running) {
      const durationMs = endTime - span.startTime;
      Object.assign(span, { ...cut, endTime, tool: { ...span.tool, durationMs } });
      this.#count(span, durationMs);
    }
    this.#running = [];
    this.#prompt = undefined;
  }

  #finish(generation: Generation, finish: Partial<Fields>): void {
    this.#open.splice(this.#open.indexOf(generation), 1);
    const calls = `[tool calls: ${generation.tools.join(", ")}]`;
    const output = generation.text || (generation.tools.length > 0 ? calls : undefined);
    Object.assign(generation.span, { endTime: Date.now(), ...finish, ...known({ output }) });
  }

  #count({ name, input }: ModelSpan, durationMs: number): void {
    if (!this.#session) return;
    const { calls, loops, runs } = this.#session;
    const json = JSON.stringify(input);
    calls.push({ name, key: `${name} ${json}`, durationMs, run: runs });
    if (json === undefined) return;
    // D10 loops are counted within one run; D7 a session that is resumed goes on with its run.
    const last = calls.filter(({ run }) => run === runs).slice(-10);
    const count = last.filter(({ key }) => key === `${name} ${json}`).length;
    if (count < 3) return;
    const loop = loops.get(`${name} ${json}`);
    loops.set(`${name} ${json}`, { tool: name, count: Math.max(count, loop?.count ?? 0) });
  }

  #add(parent: ModelSpan | undefined, fields: Fields): ModelSpan {
    const span: ModelSpan = { parent: parent ?? this.#session?.root, ...fields };
    this.#prompt = undefined;
    if (this.#session) this.#session.isAsFound = false;
    this.#session?.spans.push(span);
    return span;
  }

  /** D5 by id, else by message, else the newest. */
  #find(part: Part): Generation | undefined {
    const [id, messageId] = [part?.id, text(part?.messageID)];
    const hasId = id !== undefined && id !== null;
    return (
      this.#open.findLast((one) => hasId && one.id === String(id)) ??
      this.#open.findLast((one) => messageId !== undefined && one.messageId === messageId) ??
      this.#open.at(-1)
    );
  }

  #learn(metadata: Readonly<Record<keyof SessionMetadata, unknown>> | object): void {
    const changes = known(metadata);
    if (!this.#session || !this.isOpen || Object.keys(changes).length === 0) return;
    Object.assign(this.#session.metadata, changes);
    this.#session.isAsFound = false;
  }

  #attributes(given: unknown): Record<string, unknown> {
    if (!isSession(given)) return {};
    const plain = (value: unknown) => (typeof value === "number" && !Number.isFinite(value) ? null : value);
    return known(Object.fromEntries(Object.entries(given).map(([key, value]) => [key, plain(value)])));
  }
}

const fields = [
  "title",
  "model",
  "providerId",
  "agent",
  "variant",
  "prompt",
  "userId",
  "environment",
  "version",
] as const;

const sum = (numbers: readonly (number | undefined)[]): number =>
  numbers.reduce<number>((total, number) => total + (number ?? 0), 0);

function summaryOf({ spans, calls, loops }: ModelSession) {
  const of = (kind: string) => spans.filter((span) => span.kind === kind);
  const tokens = spans.flatMap((span) => span.tokens ?? []);
  const tools = [...new Set(calls.map(({ name }) => name))].map((name) => {
    const own = calls.filter((call) => call.name === name);
    return { name, count: own.length, totalDuration: sum(own.map(({ durationMs }) => durationMs)) };
  });
  return {
    totalTokens: sum(tokens.map(({ total }) => total)),
    totalCost: sum(spans.map(({ cost }) => cost)),
    totalToolCalls: of("tool").length,
    totalGenerations: of("generation").length,
    tokens: {
      input: sum(tokens.map(({ input }) => input)),
      output: sum(tokens.map(({ output }) => output)),
      reasoning: sum(tokens.map(({ reasoning }) => reasoning)),
      cacheRead: sum(tokens.map(({ cacheRead }) => cacheRead)),
      cacheWrite: sum(tokens.map(({ cacheWrite }) => cacheWrite)),
    },
    tools,
    loops: [...loops.values()],
  };
}

/** The document of the model, without what a deviation changes. */
export function modelDocument(session: ModelSession): unknown {
  const { sessionId, startedAt, endedAt, metadata, root, spans, status, error } = session;
  const { tools, loops, ...sums } = summaryOf(session);
  const isOver = status !== "running";
  return {
    sessionId,
    startedAt: new Date(startedAt).toISOString(),
    metadata,
    spans: inAnyOrder(spans, root),
    root: withoutParent(root),
    ...sums,
    ...(isOver && {
      endedAt: new Date(endedAt).toISOString(),
      status,
      ...(error !== undefined && { error }),
      narrative: narrative(session, endedAt - startedAt),
      topTools: [...tools].sort(byUse).slice(0, 10),
      loops: loops.map(({ tool, count }) => `${tool} ${count}`).sort(),
    }),
  };
}

/**
 * A document of the entry, in the form of {@link modelDocument}.
 *
 * - D1 the status of a session that is open is left out, and members of the summary that the tracer did not have.
 * - D2, D3, D16 do not show: ids are plain, values are JSON, and no file is removed. D17: outputs are texts.
 * - D7 counters are compared, and nothing is elided here.
 * - D9 ids are left out: parents are compared by their content.
 * - D15 the order of spans is left out; {@link misplaced} checks it.
 */
export function comparable({ sessionId, startedAt, endedAt, metadata, spans, summary }: TraceFile): unknown {
  const byId = new Map<string, ModelSpan>();
  const parentOf = ({ parentSpanId }: TraceSpan) =>
    parentSpanId === null ? undefined : byId.get(parentSpanId);
  // The old tracer had no resources.
  const all = spans.map(
    ({ spanId, parentSpanId: _parent, traceId: _trace, resource: _resource, ...rest }) => {
      const span = { parent: undefined, ...rest } as ModelSpan;
      byId.set(spanId, span);
      return span;
    },
  );
  for (const [at, span] of spans.entries()) Object.assign(all[at] as ModelSpan, { parent: parentOf(span) });
  const root = all.find(({ kind }) => kind === "session") as ModelSpan;
  const { totalTokens, totalCost, totalToolCalls, totalGenerations, tokens, status, error } = summary;
  const isOver = root.endTime !== undefined;
  return {
    sessionId,
    startedAt,
    metadata,
    spans: inAnyOrder(
      all.filter((span) => span !== root),
      root,
    ),
    root: withoutParent(root),
    ...{ totalTokens, totalCost, totalToolCalls, totalGenerations, tokens },
    ...(isOver && {
      endedAt,
      status,
      ...(error !== undefined && { error }),
      narrative: withoutTools(summary.narrative ?? ""),
      topTools: [...(summary.topTools ?? [])].sort(byUse),
      loops: (summary.loops ?? []).map(({ tool, count }) => `${tool} ${count}`).sort(),
    }),
  };
}

/** The tool calls before whose lines the line of their generation is missing, in a session that has ended: D15. */
export function misplaced({ spans }: TraceFile): string[] {
  const seen = new Set<string>();
  const found: string[] = [];
  const generations = new Set(spans.filter(({ kind }) => kind === "generation").map(({ spanId }) => spanId));
  for (const { spanId, parentSpanId, name } of spans) {
    seen.add(spanId);
    if (parentSpanId !== null && generations.has(parentSpanId) && !seen.has(parentSpanId)) found.push(name);
  }
  return found;
}

type Use = { readonly name: string; readonly count: number };
/** Tools that were called equally often are in any order. */
const byUse = (a: Use, b: Use): number => b.count - a.count || (a.name < b.name ? -1 : 1);

const withoutParent = ({ parent: _parent, ...span }: ModelSpan) => sorted(span);
const sorted = (value: object) =>
  Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));

function inAnyOrder(spans: readonly ModelSpan[], root: ModelSpan): string[] {
  const shown = (span: ModelSpan | undefined): string =>
    span === undefined ? "no parent" : span === root ? "root" : JSON.stringify(withoutParent(span));
  return spans.map((span) => `${shown(span)} in ${shown(span.parent)}`).sort();
}

/** The names of the top tools depend on the order of tools that were called equally often. */
const withoutTools = (words: string): string => words.replace(/ tools \(.*?\)/, " tools");

function narrative(session: ModelSession, duration: number): string {
  const { totalGenerations, totalCost, tools, loops } = summaryOf(session);
  const hasFailed = session.status !== "completed";
  return [
    `${hasFailed ? "Failed after" : "Completed in"} ${formatDuration(duration)}`,
    totalGenerations > 0 ? `. Made ${totalGenerations} LLM call${totalGenerations === 1 ? "" : "s"}` : "",
    tools.length > 0 ? ` using ${tools.length} tools` : "",
    ".",
    loops.length > 0 ? ` Warning: ${loops.length} loop(s) detected.` : "",
    ` Total cost: $${totalCost.toFixed(4)}.`,
  ].join("");
}
