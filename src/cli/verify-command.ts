/** `verify`: whether the files of sessions are whole, and what is wrong where. Reads every byte; only `--ground` writes. */
import { basename } from "node:path";
import { isRoot } from "../format/document.js";
import type { TraceSpan } from "../format/trace-file.js";
import { isWholeSummary } from "../format/validate.js";
import { readFoundTrace } from "../recovery/read-trace.js";
import { byteCount, groupedNumber, oneLine, plural, wrap } from "../text/display-text.js";
import { defineCommand, type Options, UsageError } from "./command.js";
import { scanDocument } from "./document-scan.js";
import { statOf } from "./file-stat.js";
import { exitCodes, type Finding, Findings, type Level, levels } from "./finding.js";
import { reportGround } from "./ground-report.js";
import { documentTimeFaultsOf } from "./impossible-times.js";
import { catalogEntry, type FoundSession, findSessions, ownersOf, writerOf } from "./session-catalog.js";
import { resolveSessions } from "./session-reference.js";
import type { Terminal } from "./terminal.js";

interface Verified {
  readonly name: string;
  readonly path: string;
  readonly status: string;
  readonly result: Level;
  readonly spans: number;
  /** Size of the document; `null` when lstat(2) is refused. */
  readonly bytes: number | null;
  readonly findings: readonly Finding[];
  /** Findings beyond those. */
  readonly leftOut: number;
}

const options = {
  ground: { help: "what the file system of the directory and this runtime give, and what costs what" },
} as const satisfies Options;

export const verifyCommand = defineCommand({
  usage: "[session…] | --ground",
  about:
    "Reads every byte of sessions, by default of all, and reports what is wrong where. Exit code 0: all are whole; 1: `recover` makes them whole; 2: a part of a trace cannot be read, since its bytes are corrupt, or since the file system refuses it. With --ground, tries what sessions use of the file system, in a directory of its own below that of the traces, which it removes; it changes no other file. Exit code 0: documents are written here; 2: they cannot be.",
  examples: [
    ["verify", "all sessions of the directory"],
    ["verify ses_1", "one"],
    ["verify --ground", "what the file system of the directory refuses"],
    ["verify --json | jq '.sessions[] | select(.result != \"whole\")'", "those with findings"],
  ],
  maxArgs: Number.POSITIVE_INFINITY,
  options,
  async run({ terminal, dir, json, args, values }) {
    if (values.ground) {
      if (args.length > 0) throw new UsageError("--ground looks at the directory, and takes no session");
      return reportGround(terminal, dir, json);
    }
    const sessions = args.length > 0 ? await resolveSessions(args, dir, terminal.cwd) : findSessions(dir);
    const progress = terminal.progress("verifying", sessions.length);
    const verified: Verified[] = [];
    for (const session of sessions) {
      const one = await verify(session, args.length > 0);
      if (one) verified.push(one);
      progress.step();
    }
    progress.end();
    verified.sort(
      (a, b) => levels.indexOf(b.result) - levels.indexOf(a.result) || (a.name < b.name ? -1 : 1),
    );
    const worst = verified[0]?.result ?? "whole";
    if (json) terminal.printJson("verify/1", { result: worst, sessions: verified });
    else {
      for (const one of verified) terminal.print(...verifiedLines(one, terminal));
      const countOf = (level: Level) => verified.filter(({ result }) => result === level).length;
      const counts = levels
        .filter((level) => level !== "unread" || countOf(level) > 0)
        .map((level) => `${countOf(level)} ${level}`);
      terminal.note(terminal.colors.dim(`${plural(verified.length, "session")}: ${counts.join(", ")}`));
    }
    return exitCodes[worst];
  },
});

/** Returns `undefined` for a file of another program. A file that the caller names is always verified. */
async function verify(found: FoundSession, isNamed: boolean): Promise<Verified | undefined> {
  const entry = await catalogEntry(found);
  if (!entry && !isNamed) return undefined;
  const findings = new Findings();
  const file = `${found.files.name}.json`;
  let spans = 0;
  const inDocument = found.hasDocument ? await scanDocument(found, findings).catch(refused) : 0;
  try {
    spans = await verifyTrace(found, findings, inDocument);
  } catch (error) {
    findings.fail(error, file);
  }
  for (const kept of found.kept)
    findings.add(
      "note",
      { file: kept },
      "kept aside: it was in the place of the document, or has lines that cannot be read",
    );
  return {
    name: found.files.name,
    path: found.path,
    status: entry?.state ?? "damaged",
    result: findings.result,
    spans,
    bytes: statOf(found.path)?.size ?? (findings.result === "unread" ? null : 0),
    findings: findings.gravest,
    leftOut: findings.leftOut,
  };

  function refused(error: unknown): number {
    findings.fail(error, file);
    return 0;
  }
}

/** Reads the session with its side files. `inDocument`: corrupt lines of the document, which are known. Returns the number of spans. */
async function verifyTrace(found: FoundSession, findings: Findings, inDocument: number): Promise<number> {
  const file = `${found.files.name}.json`;
  const { trace, damage } = await readFoundTrace(found.path, found, (span, place) => {
    findings.times(span, place ? { file: basename(place.path), offset: place.offset } : { file });
    return withoutContent(span);
  });
  // Torn bytes of a writer that is alive are being written; those of a writer that is gone are what a crash left.
  if (writerOf(ownersOf(found)) === "gone") {
    const torn = damage.tornBytes > 0 ? `; ${byteCount(damage.tornBytes)} of a span are torn` : "";
    findings.add(
      "repairable",
      { file },
      `the writer is gone, and its files are not recovered: recover completes the document${torn}`,
    );
  }
  const inSideFiles = damage.corruptLines - inDocument;
  if (inSideFiles > 0)
    findings.add(
      "corrupt",
      { file: `${file}.*` },
      `${plural(inSideFiles, "line")} of side files cannot be read; recover keeps them in a .damaged file`,
    );
  const { summary, layout, spans } = trace;
  if (layout && !isWholeSummary(summary)) findings.add("corrupt", { file }, "the summary lacks members");
  for (const { isUnreadable, message } of documentTimeFaultsOf(trace))
    findings.add(isUnreadable ? "corrupt" : "note", { file }, message);
  if (!spans.some(isRoot)) findings.add("note", { file }, "there is no session span");
  const doubled = countOfTwins(spans);
  if (doubled > 0) findings.add("corrupt", { file }, `${plural(doubled, "span")} more than once`);
  return spans.length;
}

/** What is needed of a span once its line was read: a session may be longer than the memory. */
const withoutContent = ({
  input: _input,
  output: _output,
  attributes: _attributes,
  original: _original,
  ...span
}: TraceSpan): TraceSpan => span;

/** Spans that are there more than once. The session span is one by its kind. */
function countOfTwins(spans: readonly TraceSpan[]): number {
  return spans.length - new Set(spans.map(({ traceId = "", spanId }) => `${traceId} ${spanId}`)).size;
}

function verifiedLines(
  { name, result, spans, bytes, status, findings, leftOut }: Verified,
  terminal: Terminal,
): string[] {
  const { colors, columns } = terminal;
  const { whole, repairable, unread, corrupt } = {
    whole: colors.green("✓ whole"),
    repairable: colors.yellow("! repairable"),
    unread: colors.yellow("? unread"),
    corrupt: colors.red("✗ corrupt"),
  };
  const sign = { whole, repairable, unread, corrupt }[result];
  // Of what was not read, the size is known.
  const isUnread = result === "unread" && spans === 0;
  const facts = [!isUnread && status, !isUnread && plural(spans, "span"), bytes !== null && byteCount(bytes)]
    .filter((fact) => fact !== false)
    .join(", ");
  return [
    [sign, colors.bold(oneLine(name)), facts && colors.dim(facts)].filter(Boolean).join("  "),
    ...findings.flatMap(({ level, file, line, offset, message }) => {
      const where = [file, line && `line ${line}`, offset !== undefined && `byte ${groupedNumber(offset)}`]
        .filter(Boolean)
        .join(", ");
      const style = level === "note" ? colors.dim : (text: string) => text;
      const text = `${level === "note" ? "note  " : ""}${oneLine(where)}: ${oneLine(message)}`;
      const lines = wrap(text, columns - 6);
      return lines.map((part, at) => `${at === 0 ? "    " : "      "}${style(part)}`);
    }),
    ...(leftOut > 0 ? [colors.dim(`    ${plural(leftOut, "finding")} more`)] : []),
  ];
}
