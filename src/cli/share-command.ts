/** `share`: a session as one HTML file, the viewer with the data inside. */
import { basename, resolve } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { TraceSpan } from "../format/trace-file.js";
import { errorCode, nodeFileSystem } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import { writeAll } from "../storage/lines.js";
import { CommandError, defineCommand, type Options, UsageError } from "./command.js";
import { byteCount, oneLine, plural } from "./display-text.js";
import { readSession, resolveSession } from "./session-reference.js";
import { RowNumbers, type SessionView, type ViewedSession, viewOf } from "./session-view.js";
import { bareTrace, redactedTrace, type SharedTrace, type TakenOut } from "./shared-trace.js";
import type { Terminal } from "./terminal.js";
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
    const session = await readSession(resolveSession(reference, dir, terminal.cwd));
    const { trace, takenOut }: SharedTrace = values["no-redact"]
      ? { trace: session.trace, takenOut: new Map() }
      : values["no-content"]
        ? bareTrace(session.trace)
        : redactedTrace(session.trace);
    const page = await sharedPage(viewOf({ ...session, trace }, new RowNumbers()));
    const output = values.output ?? `${basename(session.found.files.name)}.html`;
    const kind = values["no-redact"] ? "nothing" : values["no-content"] ? "content" : "secrets";
    if (output === "-") await terminal.printAll(page);
    else await write(resolve(terminal.cwd, output), page, values.force);
    if (json && output !== "-")
      terminal.printJson("share/1", {
        session: session.id,
        path: resolve(terminal.cwd, output),
        bytes: Buffer.byteLength(page),
        takenOut: { what: kind, counts: Object.fromEntries(takenOut) },
      });
    else report(terminal, kind, takenOut, output, Buffer.byteLength(page));
    return 0;
  },
});

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

/** Private like a document. A name that exists is never followed: it may be a link. */
async function write(path: string, page: string, isForced: boolean): Promise<void> {
  const { sync } = nodeFileSystem;
  let fd: number;
  try {
    if (isForced && sync.exists(path)) sync.unlink(path);
    fd = sync.open(path, "create");
  } catch (error) {
    const code = errorCode(error);
    const reason = code === "EEXIST" ? "it exists; --force replaces it, --output names another file" : code;
    throw new CommandError(`cannot write ${oneLine(path)}: ${reason ?? String(error)}`);
  }
  try {
    await runAsync(nodeFileSystem, writeAll(fd, Buffer.from(page)));
  } finally {
    sync.close(fd);
  }
}

/** Bytes of JSON in a block: a page unpacks the blocks of the spans that it shows. */
const blockBytes = 1 << 20;

const compress = promisify(gzip);

/**
 * The page with the data as compressed blocks. A script element whose type is no script is data: it is not run, and
 * base64 cannot end it.
 */
async function sharedPage({ head, rows, spans }: ViewedSession): Promise<string> {
  const blocks: string[] = [];
  const blockOf = new Map<number, number>();
  let block: (readonly [number, TraceSpan])[] = [];
  let bytes = 0;
  const close = async () => {
    blocks.push(await dataElement(`spans-${blocks.length}`, block));
    block = [];
    bytes = 0;
  };
  for (const [n, span] of spans) {
    const size = JSON.stringify(span).length;
    if (bytes > 0 && bytes + size > blockBytes) await close();
    blockOf.set(n, blocks.length);
    block.push([n, span]);
    bytes += size;
  }
  if (block.length > 0) await close();
  const view: SessionView = {
    head,
    rows: rows.map((row) => ({ ...row, block: blockOf.get(row.n) as number })),
  };
  const [before, after] = viewerPageParts();
  return [before, await dataElement("view", view), ...blocks, after].join("\n");
}

async function dataElement(id: string, value: unknown): Promise<string> {
  const data = await compress(JSON.stringify(value));
  return `<script type="application/octet-stream" id="${id}">${data.toString("base64")}</script>`;
}
