/** `verify`: whether the files of sessions are whole, and what is wrong where. Reads every byte; only `--ground` writes. */
import { decodeHead, decodeLine, isRoot } from "../format/document.js";
import { isWholeSummary } from "../format/validate.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { type Gensync, runAsync } from "../platform/gensync.js";
import { readFoundTrace } from "../recovery/read-trace.js";
import { hollowBytes, openPublished, type Published, readHeadLine } from "../storage/document-file.js";
import { chunkBytes, readRange, scanLines } from "../storage/lines.js";
import { byteCount, cut, groupedNumber, oneLine, plural, wrap } from "../text/display-text.js";
import { defineCommand, type ExitCode, type Options, UsageError } from "./command.js";
import { reportGround } from "./ground-report.js";
import { catalogEntry, type FoundSession, findSessions, ownersOf, writerOf } from "./session-catalog.js";
import { resolveSessions } from "./session-reference.js";
import type { Terminal } from "./terminal.js";

/** In rising order: the exit code. */
const levels = ["whole", "repairable", "corrupt"] as const;
type Level = (typeof levels)[number];

interface Finding {
  /** `note`: nothing is wrong with the session. */
  readonly level: Exclude<Level, "whole"> | "note";
  /** Name of the file. */
  readonly file: string;
  /** Line from 1, and byte offset of its beginning. */
  readonly line?: number;
  readonly offset?: number;
  readonly message: string;
}

interface Verified {
  readonly name: string;
  readonly path: string;
  readonly status: string;
  readonly result: Level;
  readonly spans: number;
  readonly bytes: number;
  readonly findings: readonly Finding[];
}

const mostFindings = 20;

const options = {
  ground: { help: "what the file system of the directory and this runtime give, and what costs what" },
} as const satisfies Options;

export const verifyCommand = defineCommand({
  usage: "[session…] | --ground",
  about:
    "Reads every byte of sessions, by default of all, and reports what is wrong where. Exit code 0: all are whole; 1: `recover` makes them whole; 2: a part of a trace cannot be read. With --ground, tries what sessions use of the file system, in a directory of its own below that of the traces, which it removes; it changes no other file. Exit code 0: documents are written here; 2: they cannot be.",
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
      const counts = levels.map(
        (level) => `${verified.filter(({ result }) => result === level).length} ${level}`,
      );
      terminal.note(terminal.colors.dim(`${plural(verified.length, "session")}: ${counts.join(", ")}`));
    }
    return levels.indexOf(worst) as ExitCode;
  },
});

/** Returns `undefined` for a file of another program. A file that the caller names is always verified. */
async function verify(found: FoundSession, isNamed: boolean): Promise<Verified | undefined> {
  const entry = await catalogEntry(found);
  if (!entry && !isNamed) return undefined;
  const findings: Finding[] = [];
  const file = `${found.files.name}.json`;
  const writer = writerOf(ownersOf(found));
  let spans = 0;
  try {
    // Torn bytes of a writer that is alive are being written; those of a writer that is gone are what a crash left.
    const { trace, damage } = await readFoundTrace(found.path, found);
    spans = trace.spans.length;
    if (writer === "gone") {
      const torn = damage.tornBytes > 0 ? `; ${byteCount(damage.tornBytes)} of a span are torn` : "";
      findings.push({
        level: "repairable",
        file,
        message: `the writer is gone, and its files are not recovered: recover completes the document${torn}`,
      });
    }
    const inDocument = found.hasDocument ? await scanDocument(found, findings) : 0;
    const inSideFiles = damage.corruptLines - inDocument;
    if (inSideFiles > 0)
      findings.push({
        level: "corrupt",
        file: `${file}.*`,
        message: `${plural(inSideFiles, "line")} of side files cannot be read; recover keeps them in a .damaged file`,
      });
    const { summary, layout } = trace;
    if (layout && !isWholeSummary(summary))
      findings.push({ level: "corrupt", file, message: "the summary lacks members" });
    if (!trace.spans.some(isRoot))
      findings.push({ level: "note", file, message: "there is no session span" });
    findings.push(...twice(trace.spans, file));
  } catch (error) {
    if (found.hasDocument) await scanDocument(found, findings).catch(() => {});
    const message = oneLine(error instanceof Error ? error.message : String(error));
    if (findings.length === 0) findings.push({ level: "corrupt", file, message });
  }
  for (const kept of found.kept)
    findings.push({
      level: "note",
      file: kept,
      message: "kept aside: it was in the place of the document, or has lines that cannot be read",
    });
  const worst = findings.reduce(
    (level, { level: own }) => Math.max(level, own === "note" ? 0 : levels.indexOf(own)),
    0,
  );
  return {
    name: found.files.name,
    path: found.path,
    status: entry?.state ?? "damaged",
    result: levels[worst] as Level,
    spans,
    bytes: nodeFileSystem.sync.lstat(found.path)?.size ?? 0,
    findings: findings.slice(0, mostFindings),
  };
}

/** Adds what is wrong with the lines of a document. Returns the number of lines that are no spans. */
async function scanDocument({ files }: FoundSession, findings: Finding[]): Promise<number> {
  const published = await runAsync(nodeFileSystem, openPublished(nodeFileSystem, files));
  if (!published) return 0;
  try {
    const { body } = published;
    if (body.type === "lines")
      return await scan(published, body.from, body.to, 2, `${files.name}.json`, findings);
    return body.type === "unreadable" ? await scanUnreadable(published, `${files.name}.json`, findings) : 0;
  } finally {
    published.descriptor.release();
  }
}

async function scan(
  { descriptor }: Published,
  from: number,
  to: number,
  firstLine: number,
  file: string,
  findings: Finding[],
): Promise<number> {
  let corrupt = 0;
  let number = firstLine;
  const end = await runAsync(
    nodeFileSystem,
    scanLines(descriptor.fd, from, to, (line, offset) => {
      if (decodeLine(line, offset).type !== "span") {
        corrupt++;
        findings.push({ level: "corrupt", file, line: number, offset, message: `no span: ${faultOf(line)}` });
      }
      number++;
    }),
  );
  if (end < to)
    findings.push({
      level: "corrupt",
      file,
      line: number,
      offset: end,
      message: `the file ends within a line, ${byteCount(to - end)} after its beginning`,
    });
  return corrupt;
}

/** Where a file stops being a document, and how many spans can still be read by eye. */
async function scanUnreadable(published: Published, file: string, findings: Finding[]): Promise<number> {
  const { descriptor, size } = published;
  if (size === 0) {
    findings.push({ level: "corrupt", file, offset: 0, message: "the file is empty" });
    return 0;
  }
  const head = await runAsync(nodeFileSystem, readHeadLine(descriptor.fd, size));
  if (decodeHead(head)) {
    const before = findings.length;
    const corrupt = await scan(published, head.length, size, 2, file, findings);
    if (findings.length === before)
      findings.push({ level: "corrupt", file, offset: size, message: "the last line is missing" });
    return corrupt;
  }
  const nul = await runAsync(nodeFileSystem, firstNul(descriptor.fd, size));
  if (nul !== undefined)
    findings.push({
      level: "corrupt",
      file,
      offset: nul,
      message: "NUL bytes: a power cut, or a disk that was full",
    });
  else {
    const text = await runAsync(nodeFileSystem, readRange(descriptor.fd, 0, Math.min(size, hollowBytes)));
    const message = size > hollowBytes ? "a long file that is no trace" : jsonFault(text.toString("utf8"));
    findings.push({ level: "corrupt", file, offset: 0, message });
  }
  return 0;
}

/** The offset of the first NUL byte of a file. */
function* firstNul(fd: number, size: number): Gensync<number | undefined> {
  for (let from = 0; from < size; from += chunkBytes) {
    const found = (yield* readRange(fd, from, Math.min(size, from + chunkBytes))).indexOf(0);
    if (found >= 0) return from + found;
  }
  return undefined;
}

function jsonFault(text: string): string {
  try {
    JSON.parse(text);
    return "JSON without spans";
  } catch {
    return "not JSON";
  }
}

function faultOf(line: Buffer): string {
  if (line.includes(0)) return "NUL bytes";
  const text = line.toString("utf8");
  return text.includes("\ufffd") ? "bytes that are not UTF-8" : jsonFault(text.replace(/^,/, ""));
}

/** Spans that are there more than once. The session span is one by its kind. */
function twice(spans: readonly { spanId: string; traceId?: string }[], file: string): Finding[] {
  const seen = new Set<string>();
  let doubled = 0;
  for (const { traceId = "", spanId } of spans) {
    const key = `${traceId} ${spanId}`;
    if (seen.has(key)) doubled++;
    seen.add(key);
  }
  if (doubled === 0) return [];
  return [{ level: "corrupt", file, message: `${plural(doubled, "span")} more than once` }];
}

function verifiedLines(
  { name, result, spans, bytes, status, findings }: Verified,
  terminal: Terminal,
): string[] {
  const { colors, columns } = terminal;
  const style = { whole: colors.green, repairable: colors.yellow, corrupt: colors.red }[result];
  const sign = { whole: "✓", repairable: "!", corrupt: "✗" }[result];
  const facts = `${status}, ${plural(spans, "span")}, ${byteCount(bytes)}`;
  return [
    `${style(`${sign} ${result}`)}  ${colors.bold(oneLine(name))}  ${colors.dim(facts)}`,
    ...findings.flatMap(({ level, file, line, offset, message }) => {
      const where = [file, line && `line ${line}`, offset !== undefined && `byte ${groupedNumber(offset)}`]
        .filter(Boolean)
        .join(", ");
      if (level === "note") return `    ${colors.dim(cut(`note  ${where}: ${message}`, columns - 4))}`;
      const lines = wrap(`${oneLine(where)}: ${oneLine(message)}`, columns - 6);
      return lines.map((text, at) => `${at === 0 ? "    " : "      "}${text}`);
    }),
  ];
}
