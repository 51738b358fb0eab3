/** `show`: a session as a tree on a time axis, or everything about one of its spans. */
import { isEndUnseen } from "../format/session-end.js";
import type { TraceFile, TraceSpan } from "../format/trace-file.js";
import { isTime } from "../platform/epoch-time.js";
import { TimeBars } from "../text/bars.js";
import {
  cut,
  dateTime,
  oneLine,
  padEnd,
  padStart,
  plural,
  safeText,
  shortDuration,
  shortNumber,
  timeInWords,
  valueLine,
  widthOf,
  wrap,
} from "../text/display-text.js";
import { treeRows } from "../text/tree.js";
import { type Analysis, analyse, durationOf, gistOf, type Node, nameOf, spanState } from "./analysis.js";
import { CommandError, defineCommand, durationMillis, type Options, someOf, wholeNumber } from "./command.js";
import { nowOf, sessionHeader } from "./session-header.js";
import { type ReadSession, readSession, resolveSession } from "./session-reference.js";
import { spanSign, spanStyle, spanWords } from "./signs.js";
import { spanTime } from "./span-time.js";
import type { Terminal } from "./terminal.js";

/** `model` is the name of a generation in the tree. */
const kinds = ["generation", "model", "embedding", "tool", "text", "user-message", "span"] as const;
const defaultLimit = 300;

const options = {
  span: { value: "<id>", help: "everything about the span whose id begins so" },
  turn: { value: "<number>", parse: wholeNumber(1), help: "only this turn" },
  kind: {
    value: "<kinds>",
    parse: someOf(...kinds),
    help: `only these, separated by commas: ${kinds.join(", ")}`,
  },
  errors: { help: "only what failed or was interrupted" },
  "min-duration": {
    value: "<duration>",
    parse: durationMillis,
    help: "only what took at least so long: 500ms, 2s",
  },
  limit: {
    short: "n",
    value: "<number>",
    parse: wholeNumber(0),
    help: `at most so many spans; default ${defaultLimit}, 0: all`,
  },
} as const satisfies Options;

export const showCommand = defineCommand({
  usage: "[session]",
  about:
    "Shows a session, by default the latest: its state, its errors and interrupted spans, and all spans as a tree on a time axis.",
  examples: [
    ["show", "the latest session"],
    ["show ses_1 --errors", "only what failed or was interrupted"],
    ["show ses_1 --turn 3 --kind tool", "the tool calls of the third turn"],
    ["show ses_1 --span 4f0c", "everything about one span"],
  ],
  options,
  async run({ terminal, dir, json, args, values }) {
    const session = await readSession(await resolveSession(args[0] ?? "latest", dir, terminal.cwd), {
      terminal,
    });
    const analysis = analyse(session.trace, nowOf(session, terminal));
    if (values.span !== undefined) {
      const found = findSpan(analysis, session, values.span);
      const node = { ...found, span: session.whole(found.span) };
      if (json) terminal.printJson("span/1", { session: session.id, turn: node.turn, span: node.span });
      else terminal.print(...spanLines(node, analysis, session.trace, terminal));
      return 0;
    }
    const { turn, kind, errors, "min-duration": least } = values;
    const isWanted = ({ span, state, turn: own }: Node): boolean =>
      (turn === undefined || own === turn) &&
      (kind === undefined ||
        (kind as ReadonlySet<string>).has(span.kind) ||
        (kind.has("model") && span.kind === "generation")) &&
      (!errors || state === "failed" || state === "cut") &&
      (least === undefined || durationOf(span, analysis.to) >= least);
    const isFiltered = turn !== undefined || kind !== undefined || errors || least !== undefined;
    const wanted = new Set(analysis.nodes.filter((node) => !isFiltered || isWanted(node)));
    if (turn !== undefined && turn > analysis.turns.length)
      throw new CommandError(`there is no turn ${turn}: the session has ${analysis.turns.length}`);
    if (json) {
      const spans = [...wanted].map(({ span, turn: own }) => () => ({ turn: own, ...session.whole(span) }));
      await terminal.printJsonList("show/1", headJson(session, analysis), "spans", spans);
      return 0;
    }
    terminal.print(...sessionHeader(session, analysis, terminal), "");
    if (!errors) terminal.print(...attentionLines(analysis, wanted, terminal));
    const rows = rowsOf(analysis, wanted);
    const limit = values.limit ?? defaultLimit;
    const shown = limit === 0 ? rows : rows.slice(0, limit);
    terminal.print(...waterfall(shown, analysis, terminal));
    if (wanted.size === 0) terminal.note(terminal.colors.dim(isFiltered ? "no span matches" : "no spans"));
    if (shown.length < rows.length)
      terminal.note(
        terminal.colors.dim(
          `${shown.length} of ${plural(rows.length, "row")}; --limit 0 shows all, --turn, --kind and --errors fewer`,
        ),
      );
    return 0;
  },
});

function headJson({ id, found, state, writer, damage }: ReadSession, { trace }: Analysis) {
  const { startedAt, endedAt, metadata, summary, traceId } = trace;
  return {
    id,
    path: found.path,
    status: state,
    writer,
    traceId,
    startedAt,
    endedAt,
    metadata,
    summary,
    damage,
  };
}

function findSpan({ nodes, roots }: Analysis, { id }: ReadSession, prefix: string): Node {
  const matches = [...new Set([...roots, ...nodes])].filter(({ span }) => span.spanId.startsWith(prefix));
  const exact = matches.filter(({ span }) => span.spanId === prefix);
  const [node, second] = exact.length > 0 ? exact : matches;
  if (!node) throw new CommandError(`no span of ${id} begins with ${prefix}`);
  if (second)
    throw new CommandError(`${matches.length} spans of ${id} begin with ${prefix}: give more of the id`);
  return node;
}

const mostAttention = 12;
/** A message is shown beside a name in no fewer columns. */
const fewestMessage = 16;

/** What failed, runs or was interrupted comes first: it is what the reader looks for. */
function attentionLines({ nodes, to }: Analysis, wanted: ReadonlySet<Node>, terminal: Terminal): string[] {
  const { colors, columns } = terminal;
  const found = nodes.filter((node) => node.state !== "ok" && wanted.has(node));
  const order = { cut: 0, running: 1, failed: 2, ok: 3 };
  const sorted = [...found].sort(
    (a, b) => order[a.state] - order[b.state] || b.span.startTime - a.span.startTime,
  );
  const lines = sorted.slice(0, mostAttention).map(({ span, state }) => {
    const label = `${spanSign(state)} ${padEnd(spanWords[state], 11)} ${padStart(spanTime(span, to), 7)}  `;
    const gist = valueLine(gistOf(span.input));
    const own = oneLine(nameOf(span));
    // The input of a request begins with its method, which is often its name: `GET http://…`.
    const name = gist.startsWith(`${own} `) ? gist : `${own}${gist ? ` ${gist}` : ""}`;
    const room = columns - widthOf(label);
    const hasRoom = room >= fewestMessage * 2;
    const message = hasRoom && state === "failed" && span.statusMessage ? oneLine(span.statusMessage) : "";
    const nameRoom = message
      ? Math.max(fewestMessage, Math.min(widthOf(name), Math.floor(room * 0.5)))
      : room;
    const head = `${spanStyle(state, terminal)(label)}${cut(name, nameRoom)}`;
    return message
      ? `${head}${colors.dim(cut(`  ${message}`, room - Math.min(nameRoom, widthOf(name))))}`
      : head;
  });
  if (found.length > lines.length)
    lines.push(colors.dim(`  and ${found.length - lines.length} more; --errors shows them`));
  return lines.length > 0 ? [...lines, ""] : [];
}

interface Row {
  readonly node: Node;
  readonly branch: string;
  /** Shown only because a span below it matches. */
  readonly isContext: boolean;
}

/** The tree of the wanted spans and their ancestors, children in order of start. */
function rowsOf({ roots }: Analysis, wanted: ReadonlySet<Node>): Row[] {
  const needed = new Set<Node>();
  for (const node of wanted)
    for (let at: Node | undefined = node; at && !needed.has(at); at = at.parent) needed.add(at);
  const isNeeded = (node: Node) => needed.has(node);
  return treeRows(roots.filter(isNeeded), ({ children }) => children.filter(isNeeded)).map(
    ({ item: node, branch }) => ({
      node,
      branch,
      isContext: !wanted.has(node) && node.span.kind !== "session",
    }),
  );
}

const timeWidth = 8;
const tokenWidth = 7;

function waterfall(rows: readonly Row[], { from, to }: Analysis, terminal: Terminal): string[] {
  if (rows.length === 0) return [];
  const { colors, columns } = terminal;
  const hasTokens = rows.some(({ node }) => node.span.tokens);
  const numbers = timeWidth + (hasTokens ? tokenWidth : 0);
  const labels = rows.map(({ node, branch }) => labelOf(node, branch));
  const widest = labels.reduce(
    (most, { name, gist }) => Math.max(most, widthOf(name) + (gist ? widthOf(gist) + 1 : 0)),
    0,
  );
  const labelWidth = Math.min(widest, Math.max(12, Math.floor((columns - numbers) * 0.55)));
  const bars = new TimeBars(from, to, columns - labelWidth - numbers - 5);
  const titles = `${padStart("time", timeWidth)}${hasTokens ? padStart("tokens", tokenWidth) : ""}`;
  const header = colors.dim(`${" ".repeat(labelWidth + 2)}${titles}  ${bars.axis()}`);
  const lines = rows.map(({ node, isContext }, at) => {
    const { span, state } = node;
    const { name, gist } = labels[at] as { name: string; gist: string };
    const style = isContext ? colors.dim : spanStyle(state, terminal);
    const kind = isContext || state !== "ok" ? (text: string) => text : kindStyle(span, terminal);
    const shownName = cut(name, labelWidth);
    const shownGist = gist ? cut(` ${gist}`, labelWidth - widthOf(shownName)) : "";
    const rest = " ".repeat(Math.max(0, labelWidth - widthOf(shownName) - widthOf(shownGist)));
    const time = padStart(isInstant(span) ? "" : spanTime(span, to), timeWidth);
    const tokens = hasTokens ? padStart(span.tokens ? shortNumber(span.tokens.total) : "", tokenWidth) : "";
    const { before, bar } = isInstant(span)
      ? bars.point(span.startTime, "·")
      : bars.bar(span.startTime, span.endTime ?? to, barEnds[state]);
    return `${style(spanSign(state))} ${kind(style(shownName))}${colors.dim(shownGist)}${rest}${time}${colors.dim(tokens)}  ${before}${kind(style(bar))}`.trimEnd();
  });
  return [header, ...lines];
}

/** The end of a bar shows the state without colours. */
const barEnds = { ok: "━", failed: "✗", running: "▶", cut: "!" } as const;

const isInstant = ({ kind, startTime, endTime }: TraceSpan): boolean =>
  kind === "user-message" || (endTime === startTime && kind === "text");

function labelOf(node: Node, branch: string): { name: string; gist: string } {
  const { span } = node;
  const isMessage = span.kind === "user-message";
  const name = isMessage ? "user" : span.kind === "session" ? "session" : oneLine(nameOf(span));
  const gist = span.kind === "tool" || isMessage ? valueLine(gistOf(span.input)).slice(0, 400) : "";
  return { name: `${branch}${name}`, gist };
}

function kindStyle({ kind }: TraceSpan, { colors }: Terminal): (text: string) => string {
  if (kind === "generation") return colors.cyan;
  if (kind === "tool") return colors.green;
  if (kind === "user-message") return colors.magenta;
  return kind === "session" ? colors.bold : (text) => text;
}

/** Everything about one span: nothing is cut. */
function spanLines(
  { span, turn, parent, children }: Node,
  { to, from }: Analysis,
  { resources, scopes }: TraceFile,
  terminal: Terminal,
): string[] {
  const { colors, columns } = terminal;
  const state = spanState(span);
  const { tokens, model } = span;
  const facts: [string, string | undefined][] = [
    ["span", span.spanId],
    ["trace", span.traceId],
    ["kind", span.kind],
    ["turn", turn > 0 ? String(turn) : undefined],
    ["parent", parent && `${nameOf(parent.span)} (${parent.span.spanId})`],
    ["children", children.length > 0 ? String(children.length) : undefined],
    [
      "started",
      `${dateTime(span.startTime)}${isTime(span.startTime) ? ` (${shortDuration(span.startTime - from)} after the beginning)` : ""}`,
    ],
    ["ended", span.endTime === undefined ? "no" : dateTime(span.endTime)],
    ["took", timeInWords(durationOf(span, to), isEndUnseen(span))],
    ["model", model && [model.modelId, model.providerId, model.variant].filter(Boolean).join(" · ")],
    ["finish", span.finishReason],
    ["cost", span.cost === undefined ? undefined : `$${span.cost}`],
    [
      "tokens",
      tokens &&
        `${tokens.total} = ${["input", "output", "reasoning", "cacheRead", "cacheWrite"].map((part) => `${part} ${tokens[part as "input"] ?? 0}`).join(" + ")}`,
    ],
    ["call", span.tool?.callId],
    ["message", span.statusMessage],
  ];
  const known = facts.filter((fact): fact is [string, string] => fact[1] !== undefined && fact[1] !== "");
  const lines = [
    `${spanStyle(state, terminal)(`${spanSign(state)} ${spanWords[state]}`)}  ${colors.bold(oneLine(nameOf(span)))}`,
    ...known.map(([name, value]) => `  ${colors.dim(padEnd(name, 9))} ${safeText(value)}`),
  ];
  for (const [name, value] of [
    ["input", span.input],
    ["output", span.output],
    ["attributes", span.attributes],
    ["resource", resources?.[span.resource ?? ""]?.attributes],
    ["instrumentation scope", scopes?.[span.scope ?? ""]?.attributes],
  ] as const) {
    if (value === undefined) continue;
    const text = typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "");
    lines.push("", colors.bold(name), ...wrap(text, columns - 2).map((line) => `  ${line}`));
  }
  return lines;
}
