/** `export`: sessions in the formats of other tools, to stdout. */

import type { ReadableSpan } from "../otel/types.js";
import { plural } from "../text/display-text.js";
import { analyse } from "./analysis.js";
import { chromeEvents } from "./chrome-trace.js";
import { CommandError, defineCommand, type Options, oneOf, UsageError } from "./command.js";
import { tracesData } from "./otlp-json.js";
import { replayedSpans } from "./replayed-session.js";
import { sessionMarkdown } from "./session-markdown.js";
import { type ReadSession, readSession, resolveSessions } from "./session-reference.js";
import type { Terminal } from "./terminal.js";

const formats = ["otlp", "chrome", "jsonl", "md"] as const;

const options = {
  format: {
    short: "f",
    value: "<format>",
    parse: oneOf(...formats),
    help: "otlp: OTLP/JSON lines; chrome: Perfetto, speedscope; jsonl: one span a line; md: a conversation",
  },
} as const satisfies Options;

export const exportCommand = defineCommand({
  usage: "<session…> --format <format>",
  about: "Writes sessions to stdout in the formats of other tools. `--json` is `--format jsonl`.",
  examples: [
    ["export ses_1 --format chrome > ses_1.json", "open it in ui.perfetto.dev or speedscope.app"],
    ["export latest --format otlp > traces.jsonl", "for the Collector's otlpjsonfile receiver"],
    ["export ses_1 ses_2 --format jsonl | jq .name", "one span a line"],
    ["export ses_1 --format md > ses_1.md", "to read, or to paste"],
  ],
  options,
  maxArgs: Number.POSITIVE_INFINITY,
  async run({ terminal, dir, json, args, values }) {
    const format = values.format ?? (json ? "jsonl" : undefined);
    if (format === undefined) throw new UsageError(`export needs --format: ${formats.join(", ")}`);
    if (args.length === 0)
      throw new UsageError("export needs a session: an id, the beginning of one, a path, or latest");
    const found = await resolveSessions(args, dir, terminal.cwd);
    const writer = writers[format];
    let written = 0;
    let failure: CommandError | undefined;
    for (const one of found) {
      const session = await readSession(one, { terminal }).catch((error: unknown) => {
        if (!(error instanceof CommandError)) throw error;
        return error;
      });
      if (session instanceof CommandError) {
        failure = session;
        if (found.length > 1) terminal.note(session.message);
        continue;
      }
      if (written === 0) await writer.begin?.(terminal);
      if (session.damage.corruptLines > 0)
        terminal.note(
          `${session.id}: ${plural(session.damage.corruptLines, "line")} could not be read; verify shows where`,
        );
      await writer.write(session, written++, terminal);
      if (terminal.signal.aborted) break;
    }
    // The beginning of a format is written with the first session: a file without any is empty.
    if (written > 0) await writer.end?.(terminal);
    if (failure && found.length === 1) throw failure;
    return failure ? 1 : 0;
  },
});

interface Writer {
  begin?(terminal: Terminal): Promise<void>;
  write(session: ReadSession, index: number, terminal: Terminal): Promise<void>;
  end?(terminal: Terminal): Promise<void>;
}

/** Spans per line: the batch size of the SDK. A whole session in one line may be longer than a reader's buffer. */
const spansPerLine = 512;
/** Of texts, per line: a line of 512 long spans had 20 MB. */
const charactersPerLine = 1 << 20;

const writers: Readonly<Record<(typeof formats)[number], Writer>> = {
  otlp: {
    async write(session, _, terminal) {
      const { spans, left } = replayedSpans(session, terminal.env);
      let line: ReadableSpan[] = [];
      let characters = 0;
      const print = () => terminal.printAll(`${JSON.stringify(tracesData(line))}\n`);
      for (const span of spans) {
        line.push(span);
        for (const value of Object.values(span.attributes))
          characters += typeof value === "string" ? value.length : 0;
        if (line.length < spansPerLine && characters < charactersPerLine) continue;
        await print();
        line = [];
        characters = 0;
        if (terminal.signal.aborted) return;
      }
      if (line.length > 0) await print();
      if (left > 0)
        terminal.note(
          `${session.id}: ${plural(left, "span")} that still ${left === 1 ? "runs is" : "run are"} left out, since OTLP has ended spans only`,
        );
    },
  },
  chrome: {
    begin: (terminal) => terminal.printAll('{"displayTimeUnit":"ms","traceEvents":['),
    async write(session, index, terminal) {
      let separator = index === 0 ? "\n" : ",\n";
      for (const event of chromeEvents(session, analyse(session.trace), index + 1)) {
        await terminal.printAll(`${separator}${JSON.stringify(event)}`);
        separator = ",\n";
        if (terminal.signal.aborted) return;
      }
    },
    end: (terminal) => terminal.printAll("\n]}\n"),
  },
  jsonl: {
    async write(session, _, terminal) {
      const { nodes, roots } = analyse(session.trace);
      for (const { span, turn } of new Set([...roots, ...nodes])) {
        const head = { schema: "crash-safe-file/export/1", session: session.id, turn };
        await terminal.printAll(`${JSON.stringify({ ...head, ...session.whole(span) })}\n`);
        if (terminal.signal.aborted) return;
      }
    },
  },
  md: {
    async write(session, index, terminal) {
      if (index > 0) await terminal.printAll("\n---\n\n");
      for (const part of sessionMarkdown(session, analyse(session.trace)))
        await terminal.printAll(`${part}\n`);
    },
  },
};
