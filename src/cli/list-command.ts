/** `list`: the sessions of a directory, newest first. */
import { nameCandidates } from "../format/file-names.js";
import { unclosedMessage } from "../format/session-end.js";
import type { SessionSummary } from "../format/trace-file.js";
import { isoOrNull } from "../platform/epoch-time.js";
import { age, money, oneLine, plural, shortDuration, shortNumber } from "../text/display-text.js";
import { type Column, tableLines } from "../text/table.js";
import { defineCommand, type Options, someOf, timeOrDuration, wholeNumber } from "./command.js";
import { newest } from "./newest-sessions.js";
import {
  type CatalogEntry,
  findSessions,
  LivenessNow,
  outlineOf,
  sessionStates,
  UnreadEntry,
} from "./session-catalog.js";
import { stateSigns, stateStyle } from "./signs.js";
import type { Terminal } from "./terminal.js";

const defaultLimit = 20;

const options = {
  status: {
    value: "<states>",
    parse: someOf(...sessionStates),
    help: `only these, separated by commas: ${sessionStates.join(", ")}`,
  },
  since: { value: "<time>", parse: timeOrDuration, help: "active since: 30m, 2h, 7d, or a date" },
  limit: {
    short: "n",
    value: "<number>",
    parse: wholeNumber(0),
    help: `at most so many; default ${defaultLimit}, 0: all`,
  },
  search: {
    value: "<text>",
    help: "only with this text in id, title, prompt, model, agent, tags or error",
  },
} as const satisfies Options;

export const listCommand = defineCommand({
  usage: "",
  about:
    "Lists the sessions of a directory, newest first. Reads their first and last lines only, except where a writer died.",
  examples: [
    ["list", "the newest sessions"],
    ["list --status crashed,error --since 1d", "what went wrong since yesterday"],
    ["list --search 'flaky test' --json", "for programs"],
  ],
  maxArgs: 0,
  options,
  async run({ terminal, dir, json, values }) {
    const found = findSessions(dir);
    const progress = terminal.progress("reading", found.length);
    const { status, search, since } = values;
    const after = since?.(terminal.now());
    const isFiltered = status !== undefined || search !== undefined || after !== undefined;
    const liveness = new LivenessNow();
    const listed: (CatalogEntry | UnreadEntry)[] = [];
    let files = 0;
    for (const one of found) {
      progress.step();
      const outline = outlineOf(one, liveness);
      const isUnread = outline instanceof UnreadEntry;
      // What a filter leaves out without its spans is not read: dead sessions are read whole.
      const isLeftOut =
        isUnread && ((after ?? 0) > outline.lastActivityAt || (status && !outline.mayBe(status)));
      if (isLeftOut) continue;
      const entry = isUnread && (isFiltered || !one.hasDocument) ? await outline.read() : outline;
      if (entry) listed.push(entry);
      else files++;
    }
    progress.end();
    const isMatch = (entry: CatalogEntry) =>
      (!status || status.has(entry.state)) &&
      (after === undefined || entry.lastActivityAt >= after) &&
      (search === undefined || searched(entry).includes(search.toLowerCase()));
    const matching = listed.filter((entry) => entry instanceof UnreadEntry || isMatch(entry));
    const limit = values.limit ?? defaultLimit;
    const unread = matching.filter((entry) => entry instanceof UnreadEntry).length;
    const reading = terminal.progress("reading what dead processes left", unread);
    const shown = await newest(matching, limit === 0 ? matching.length : limit, () => reading.step());
    reading.end();
    const total = matching.length;
    if (json) {
      terminal.printJson("list/1", { dir, total, sessions: shown.map(listedJson(terminal.now())) });
      return 0;
    }
    if (shown.length > 0) terminal.print(...listLines(shown, terminal));
    const notes = [
      total === 0 && (files === found.length ? `no sessions in ${dir}` : "no session matches"),
      shown.length < total && `${shown.length} of ${plural(total, "session")}; --limit 0 shows all`,
      files > 0 && `${plural(files, "file")} of other programs left out`,
    ].filter((note) => note !== false);
    for (const note of notes) terminal.note(terminal.colors.dim(note));
    return 0;
  },
});

function searched({ id, name, metadata, summary }: CatalogEntry): string {
  const { title, prompt, model, agent, tags = [] } = metadata;
  return [id, name, title, prompt, model, agent, ...tags, summary.error].join("\n").toLowerCase();
}

/** Members of a summary that documents of older versions lack. */
interface NewerSummary extends Partial<SessionSummary> {
  readonly turns?: number;
  readonly errors?: number;
  readonly interrupted?: number;
  readonly detector?: string;
}

/** How long a session has lasted, in milliseconds: until now, where a process is at work in it. */
const durationOf = ({ state, writer, startedAt, summary }: CatalogEntry, now: number): number | undefined =>
  state === "running" && writer === "alive" && Number.isFinite(startedAt)
    ? Math.max(0, now - startedAt)
    : summary.duration;

/** Characters of a prompt in a listing. */
const longestPrompt = 200;

/** A session of a listing for programs, and for the list of the viewer. */
export const listedJson = (now: number) => (entry: CatalogEntry) => {
  const { id, name, path, state, writer, summary, metadata, bytes, damage, parent, ...times } = entry;
  const { totalTokens, totalCost, totalToolCalls, totalGenerations, error } = summary;
  const { turns, errors, interrupted, detector }: NewerSummary = summary;
  return {
    id,
    name,
    path,
    status: state,
    writer,
    startedAt: isoOrNull(times.startedAt),
    lastActivityAt: isoOrNull(times.lastActivityAt),
    durationMs: durationOf(entry, now) ?? null,
    turns: turns ?? null,
    errors: errors ?? null,
    interrupted: interrupted ?? null,
    tokens: totalTokens ?? null,
    cost: totalCost ?? null,
    toolCalls: totalToolCalls ?? null,
    generations: totalGenerations ?? null,
    title: metadata.title ?? null,
    prompt: metadata.prompt?.slice(0, longestPrompt).toWellFormed() ?? null,
    model: metadata.model ?? null,
    agent: metadata.agent ?? null,
    error: error ?? damage ?? null,
    detector: detector ?? null,
    parent: parent ?? null,
    bytes,
  };
};

/** What other commands take: the id, or the name of a file that has the name of no such id. */
const referenceOf = ({ id, name }: CatalogEntry): string =>
  name === id || nameCandidates(id).includes(name) ? id : name;

/** Without a title, an error says what the session was; that its process died is in its status. */
const errorOf = ({ error = "" }: Partial<SessionSummary>): string => (error === unclosedMessage ? "" : error);

function listLines(entries: readonly CatalogEntry[], terminal: Terminal): string[] {
  const now = terminal.now();
  const header: Column[] = [
    { title: "STATUS" },
    { title: "ACTIVE" },
    { title: "DURATION", align: "right", dropOrder: 4 },
    { title: "TURNS", align: "right", dropOrder: 6 },
    { title: "TOKENS", align: "right", dropOrder: 5 },
    { title: "COST", align: "right", dropOrder: 2 },
    { title: "ERRORS", align: "right", dropOrder: 3 },
    { title: "SESSION", fewest: 16 },
    { title: "TITLE", fewest: 20, dropOrder: 1 },
  ];
  const rows = entries.map((entry) => {
    const { state, writer, summary, metadata, damage, lastActivityAt } = entry;
    const { turns, errors }: NewerSummary = summary;
    // A running document without any file of a writer: nothing shows that it still runs.
    const duration = durationOf(entry, now);
    const isUnsure = state === "running" && writer === "none";
    return [
      `${stateSigns[state]} ${state}${isUnsure ? "?" : ""}`,
      age(now - lastActivityAt),
      duration === undefined ? "" : shortDuration(duration),
      turns ? shortNumber(turns) : "",
      summary.totalTokens ? shortNumber(summary.totalTokens) : "",
      summary.totalCost ? money(summary.totalCost) : "",
      errors ? shortNumber(errors) : "",
      oneLine(referenceOf(entry)),
      oneLine(metadata.title || metadata.prompt || damage || errorOf(summary)),
    ];
  });
  const stateOf = (row: number) => (entries[row] as CatalogEntry).state;
  const { colors } = terminal;
  const styles = [
    (text: string, row: number) => stateStyle(stateOf(row), terminal)(text),
    colors.dim,
    undefined,
    undefined,
    undefined,
    undefined,
    colors.red,
    colors.bold,
    undefined,
  ];
  return tableLines(header, rows, terminal.columns, styles, colors.dim);
}
