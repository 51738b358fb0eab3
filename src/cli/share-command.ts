/** `share`: a session as one HTML file, the viewer with the data inside. */
import { basename, resolve } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { TraceSpan } from "../format/trace-file.js";
import { errorCode, nodeFileSystem, tryUnlink } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import { writeAll } from "../storage/lines.js";
import { byteCount, oneLine, plural } from "../text/display-text.js";
import { CommandError, defineCommand, type Options, UsageError } from "./command.js";
import { failureReason } from "./failure-reason.js";
import { readSession, resolveSession } from "./session-reference.js";
import { RowNumbers, type ViewedSession, viewOf } from "./session-view.js";
import { everything, type TakenOut, withoutContent, withoutSecrets } from "./shared-trace.js";
import type { Terminal } from "./terminal.js";
import { viewParts } from "./view-parts.js";
import { viewerPageParts } from "./viewer-page.js";

const options = {
  output: { short: "o", value: "<file>", help: "the file; default <session>.html; -: stdout" },
  force: { help: "replace the file if it exists" },
  "no-content": { help: "structure and numbers only: no inputs, outputs, messages and attributes" },
  "no-redact": { help: "with everything, secrets included" },
} as const satisfies Options;

export const shareCommand = defineCommand({
  usage: "<session>",
  about:
    "Writes one HTML file: the viewer with the session inside, to send or to attach. It needs no network and no server. Secrets of known shapes are taken out; the report shows how many.",
  examples: [
    ["share latest", "writes <session>.html, redacted"],
    ["share ses_1 --no-content", "structure and numbers only"],
    ["share ses_1 -o - | gzip > ses_1.html.gz", "to a pipe"],
  ],
  options,
  async run({ terminal, dir, json, args, values }) {
    const [reference] = args;
    if (reference === undefined)
      throw new UsageError("share needs a session: an id, the beginning of one, a path, or latest");
    if (values["no-content"] && values["no-redact"])
      throw new UsageError("--no-content and --no-redact exclude each other");
    const kind = values["no-redact"] ? "nothing" : values["no-content"] ? "content" : "secrets";
    const sharing = sharings[kind]();
    const found = await resolveSession(reference, dir, terminal.cwd);
    const session = await readSession(found, { terminal, change: sharing.span });
    const trace = sharing.trace(session.trace);
    const takenOut = sharing.takenOut();
    const page = pageParts(viewOf({ ...session, trace }, new RowNumbers()), session.whole);
    const output = values.output ?? `${basename(session.found.files.name)}.html`;
    let bytes = 0;
    if (output === "-") for await (const part of page) await terminal.printAll(part);
    else bytes = await write(resolve(terminal.cwd, output), page, values.force);
    if (json && output !== "-")
      terminal.printJson("share/1", {
        session: session.id,
        path: resolve(terminal.cwd, output),
        bytes,
        takenOut: { what: kind, counts: Object.fromEntries(takenOut) },
      });
    else report(terminal, kind, takenOut, output, bytes);
    return 0;
  },
});

/** By what is taken out. */
const sharings = { nothing: () => everything, content: withoutContent, secrets: withoutSecrets } as const;

function report(terminal: Terminal, kind: string, takenOut: TakenOut, output: string, bytes: number): void {
  if (output !== "-") terminal.print(`${oneLine(output)}  ${byteCount(bytes)}`);
  const counts = [...takenOut]
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) =>
      kind === "content" ? plural(count, name, pluralOf(name)) : `${count} × ${name}`,
    );
  if (kind === "nothing") terminal.note("nothing was taken out: the file holds everything that was recorded");
  else if (counts.length > 0) terminal.note(`taken out: ${counts.join(", ")}`);
  else
    terminal.note(
      kind === "content" ? "there was no content to take out" : "no secret of a known shape was found",
    );
  if (kind === "secrets")
    terminal.note(
      terminal.colors.dim(
        "a secret that looks like other text is not found: look at the file before you send it, or use --no-content",
      ),
    );
}

const pluralOf = (name: string): string => (name === "set of attributes" ? "sets of attributes" : `${name}s`);

/** Writes a file that is private like a document, and returns its size. A name that exists is never followed: it may be a link. */
async function write(path: string, page: AsyncIterable<string>, isForced: boolean): Promise<number> {
  const { sync } = nodeFileSystem;
  let fd: number;
  try {
    if (isForced && sync.exists(path)) sync.unlink(path);
    fd = sync.open(path, "create");
  } catch (error) {
    const code = errorCode(error);
    const reason =
      code === "EEXIST"
        ? "it exists; --force replaces it, --output names another file"
        : code === "ENOENT"
          ? "its directory does not exist"
          : failureReason(error);
    throw new CommandError(`cannot write ${oneLine(path)}: ${reason}`);
  }
  let size = 0;
  try {
    for await (const part of page) {
      const bytes = Buffer.from(part);
      await runAsync(nodeFileSystem, writeAll(fd, bytes));
      size += bytes.length;
    }
    return size;
  } catch (error) {
    // A part of a page shows nothing.
    tryUnlink(sync, path);
    throw new CommandError(`cannot write ${oneLine(path)}: ${failureReason(error)}`);
  } finally {
    sync.close(fd);
  }
}

/** Bytes of JSON in a block: a page unpacks the blocks of the spans that it shows. */
const blockBytes = 1 << 20;

/** Rows in a block: a page shows the first of them while it unpacks the others. */
const rowsOfBlock = 1_000;

const compress = promisify(gzip);

/**
 * The page with the data as compressed blocks, part by part: a long session is never in memory as a whole. A script
 * element whose type is no script is data: it is not run, and base64 cannot end it.
 */
async function* pageParts(
  { head, rows, spans }: ViewedSession,
  whole: (span: TraceSpan) => TraceSpan,
): AsyncGenerator<string, void> {
  const [before, after] = viewerPageParts();
  yield before;
  const blockOf = new Map<number, number>();
  let blocks = 0;
  let block: string[] = [];
  let bytes = 0;
  const close = async () => {
    const element = await dataElement(`spans-${blocks++}`, `[${block.join(",")}]`);
    block = [];
    bytes = 0;
    return `\n${element}`;
  };
  for (const [n, span] of spans) {
    const text = JSON.stringify([n, whole(span)]);
    if (bytes > 0 && bytes + text.length > blockBytes) yield await close();
    blockOf.set(n, blocks);
    block.push(text);
    bytes += text.length;
  }
  if (block.length > 0) yield await close();
  const shown = rows.map((row) => ({ ...row, block: blockOf.get(row.n) as number }));
  let parts = 0;
  for (const part of viewParts("view", head, shown, rowsOfBlock))
    yield `\n${await dataElement(`view-${parts++}`, JSON.stringify(part))}`;
  yield `\n${after}`;
}

async function dataElement(id: string, json: string): Promise<string> {
  const data = await compress(json);
  return `<script type="application/octet-stream" id="${id}">${data.toString("base64")}</script>`;
}
