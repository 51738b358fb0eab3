/**
 * A session as a dead writer leaves it, recorded by the library itself: the bytes of its side files, and the
 * content of each line.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { IdleClock } from "./idle-clock.js";
import { spanOf } from "./projection-span.js";

/** One line of a recorded file: `[from, to)` with its newline. */
interface RecordedLine {
  readonly from: number;
  readonly to: number;
  readonly span: TraceSpan;
}

export interface SessionHandle {
  readonly id: string;
  /** Its file name without `.json`. */
  readonly name: string;
  /** A token of this machine whose process is dead. */
  readonly token: string;
  readonly open: Buffer;
  readonly live: Buffer;
  /** The append log with its tail, and its journal, between the finalize and the commit. */
  readonly sealed: Buffer;
  readonly sealedLive: Buffer;
  /** The document as it was published in the middle of the session. */
  readonly published: Buffer;
  readonly lines: readonly RecordedLine[];
  readonly starts: readonly RecordedLine[];
}

const texts = [
  "git status",
  "Zażółć gęślą jaźń",
  "日本語のテキスト 🦩",
  'quotes " and \\ backslashes',
  "a\nb\r\nc\u2028d\u0000e",
  // Content that looks like lines of the library's files must not be decoded as lines.
  '],"metadata":{},"summary":{},"endedAt":"","layout":{"v":1,"tailStart":0}}',
  '{"spanId":"0123456789abcdef","interrupted":true}',
];

/** Ids with large distances, so that no flipped bit turns one into another. */
const spanIdOf = (n: number): string =>
  (BigInt(n + 1) * 0x9e37_79b9_7f4a_7c15n).toString(16).slice(-16).padStart(16, "0");

function traced(n: number, sessionId: string, ended: boolean): ReadableSpan {
  const kind = n % 3 === 0 ? "execute_tool" : "chat";
  return spanOf({
    name: `step ${n}`,
    spanContext: () => ({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: spanIdOf(n), traceFlags: 1 }),
    startTime: [1_750_000_000 + n, 0],
    endTime: ended ? [1_750_000_001 + n, 0] : [0, 0],
    ended,
    attributes: {
      "session.id": sessionId,
      "gen_ai.operation.name": kind,
      "gen_ai.tool.name": "bash",
      ...(n % 6 === 1 && { "gen_ai.usage.input_tokens": n }),
      text: texts[n % texts.length],
    },
  });
}

/** A process number of this machine with another start time is dead. The remaining fields are valid. */
const deadToken = (token: string): string => token.replace(/^([^-]+)-([^-]+)-[^-]+-/, "$1-$2-1-");

/** Links fail, so that the session is finalized and its commit fails. */
const unlinkable: FileSystem = {
  sync: {
    ...nodeFileSystem.sync,
    link() {
      throw Object.assign(new Error("EIO: link"), { code: "EIO" });
    },
  },
  async: nodeFileSystem.async,
};

/** Records `ended` spans, of which every fifth has no journaled start, and leaves `open` more open. */
export async function recordSession({
  id = "ses_recorded",
  ended = 18,
  open = 3,
}: {
  id?: string;
  ended?: number;
  open?: number;
} = {}): Promise<SessionHandle> {
  const dir = fs.mkdtempSync(join(os.tmpdir(), "recorded-"));
  try {
    const exporter = new CrashSafeFileSpanExporter(
      { dir },
      { clock: new IdleClock(), fileSystem: unlinkable },
    );
    for (let n = 0; n < open; n++) exporter.recordStart(traced(1000 + n, id, false));
    let published = Buffer.alloc(0);
    for (let n = 0; n < ended; n++) {
      if (n % 5 !== 4) exporter.recordStart(traced(n, id, false));
      exporter.recordEnd(traced(n, id, true));
      if (n !== ended >> 1) continue;
      await exporter.forceFlush();
      published = fs.readFileSync(exporter.tracePath(id));
    }
    const side = (suffix: string): Buffer => {
      const name = fs.readdirSync(dir).find((entry) => entry.endsWith(suffix));
      return fs.readFileSync(join(dir, name as string));
    };
    const [openBytes, live] = [side(".open"), side(".live")];
    const token = fs
      .readdirSync(dir)
      .map((entry) => /\.json\.([^.]+)\.open$/.exec(entry)?.[1])
      .find((found) => found !== undefined) as string;
    const name = exporter.tracePath(id).slice(dir.length + 1, -".json".length);
    await exporter.endSession(id).catch(() => {});
    const [sealed, sealedLive] = [side(".open"), side(".live")];
    return {
      id,
      name,
      token: deadToken(token),
      open: openBytes,
      live,
      sealed,
      sealedLive,
      published,
      lines: linesOf(openBytes, (text) =>
        text.endsWith("[") ? undefined : JSON.parse(text.replace(/^,/, "")),
      ),
      starts: linesOf(live, (text) => JSON.parse(text).span),
    };
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

function linesOf(bytes: Buffer, read: (text: string) => TraceSpan | undefined): RecordedLine[] {
  const lines: RecordedLine[] = [];
  for (let from = 0; from < bytes.length; ) {
    const to = bytes.indexOf(0x0a, from) + 1;
    const span = read(bytes.subarray(from, to - 1).toString("utf8"));
    if (span) lines.push({ from, to, span });
    from = to;
  }
  return lines;
}

/** Writes files of a session into a directory: `open` and `live` under the token, `json` as the document. */
export function layOut(
  dir: string,
  { name, token }: { name: string; token: string },
  files: { readonly open?: Buffer; readonly live?: Buffer; readonly json?: Buffer },
): void {
  const path = `${dir}/${name}.json`;
  if (files.json) fs.writeFileSync(path, files.json);
  if (files.open) fs.writeFileSync(`${path}.${token}.open`, files.open);
  if (files.live) fs.writeFileSync(`${path}.${token}.live`, files.live);
}

/** The content that a document must have: each span once, the session's own last. */
export function spansOf(document: TraceFile): Map<string, TraceSpan> {
  const spans = new Map<string, TraceSpan>();
  for (const span of document.spans) {
    if (spans.has(span.spanId)) throw new Error(`span ${span.spanId} is there twice`);
    spans.set(span.spanId, span);
  }
  const roots = document.spans.filter((span) => span.kind === "session" && span.parentSpanId === null);
  if (roots.length !== 1) throw new Error(`${roots.length} session spans`);
  spans.delete((roots[0] as TraceSpan).spanId);
  return spans;
}
