/** Kinds of files that no writer of this package makes, in a directory of traces: each may cost only itself. */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { isTorture } from "./trials.js";

/** An owner of another machine whose lease has expired. */
const token = "1-1-1-aaaaaaaa-bbbbbbbb";

/** Bytes of a file without content. */
const hole = isTorture ? 3_000_000_000 : 32_000_000;
/** Bytes of a long line that has content. */
const longLine = isTorture ? 20_000_000 : 4_000_000;
/** Entries of a long list. */
const many = isTorture ? 100_000 : 2_000;

/** A file of this size without content, and the texts at these offsets. */
function sparse(path: string, size: number, texts: readonly (readonly [number, string])[] = []): void {
  const fd = openSync(path, "w");
  ftruncateSync(fd, size);
  for (const [at, text] of texts) writeSync(fd, text, at);
  closeSync(fd);
}

const head = (id: string): string =>
  `{"version":2,"id":"${id}","traceId":"","sessionId":"${id}","startedAt":"2026-01-02T03:04:05.000Z","spans":[\n`;
const line =
  '{"spanId":"1","parentSpanId":null,"name":"x","kind":"span","startTime":1,"endTime":2,"status":"ok"}\n';
const tail = (start: number): string =>
  `],"metadata":{},"summary":{"status":"completed"},"endedAt":"","layout":{"v":1,"tailStart":${start}}}\n`;
const pipe = (path: string): void => void spawnSync("mkfifo", [path]);

/** Plants one kind; `path` is that of a document, without `.json`. */
type Plant = (path: string) => void;

const text =
  (content: string | Buffer, ending = ".json"): Plant =>
  (path) =>
    writeFileSync(`${path}${ending}`, content);
const hollow =
  (ending: string, texts: readonly (readonly [number, string])[] = [], size = hole): Plant =>
  (path) =>
    sparse(`${path}${ending}`, size, texts);
const directory =
  (ending: string): Plant =>
  (path) =>
    mkdirSync(`${path}${ending}`);
const link =
  (target: string, ending: string): Plant =>
  (path) =>
    symlinkSync(target, `${path}${ending}`);

const open = `.json.${token}.open`;
const live = `.json.${token}.live`;

export const hostileKinds: Readonly<Record<string, Plant>> = {
  "an empty document": text(""),
  "a NUL byte": text("\0"),
  "a page of NUL bytes": text(Buffer.alloc(4_096)),
  "a document without content": hollow(".json"),
  "a document with a hole between head and tail": hollow(".json", [
    [0, head("hole")],
    [hole - 200, `\n${tail(hole - 199)}`],
  ]),
  "an open brace": text("{"),
  "a list": text("[]"),
  null: text("null"),
  "a text": text('"text"'),
  "a number": text("1e999"),
  "a head alone": text(head("head")),
  "a head and half a line": text(head("half") + line.slice(0, 40)),
  "a tail that begins behind the end": text(head("behind") + line + tail(1_000_000)),
  "a tail that begins before the file": text(head("before") + line + tail(-5)),
  "a tail that begins at a fraction": text(head("fraction") + line + tail(1.5)),
  "a tail that begins beyond all numbers": text(
    `${head("beyond")}${line}${tail(1).replace(":1}", ":1e400}")}`,
  ),
  "a tail alone": text(tail(0)),
  "a span line that is long": (path) =>
    writeFileSync(
      `${path}.json`,
      `${head("long")}${line.replace('"x"', `"${"x".repeat(longLine)}"`)}${tail(0)}`,
    ),
  "a head that is long": (path) => writeFileSync(`${path}.json`, `${head("x".repeat(longLine))}${tail(0)}`),
  brackets: (path) =>
    writeFileSync(
      `${path}.json`,
      `{"version":2,"spans":[${"{},".repeat(Math.max(longLine, 9_000_000) / 3)}{}]}`,
    ),
  "lists in lists": text("[".repeat(200_000)),
  "objects in objects": text(
    `{"version":2,"sessionId":"deep","spans":[${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}]}`,
  ),
  "UTF-16": text(Buffer.from(`\ufeff${head("wide")}${line}`, "utf16le")),
  "a byte order mark": text(`\ufeff${head("mark")}${line}${tail(0)}`),
  "bytes that are no UTF-8": text(Buffer.concat([Buffer.from(head("bytes")), Buffer.alloc(100, 0xff)])),
  "line ends of Windows": text((head("windows") + line + tail(0)).replaceAll("\n", "\r\n")),
  "empty lines": text(head("empty") + "\n".repeat(200_000) + tail(0)),
  "members twice": text(
    '{"version":2,"version":2,"id":"a","id":"b","sessionId":"c","sessionId":"d","spans":[],"spans":[]}',
  ),
  "a member __proto__": text(
    '{"version":2,"sessionId":"p","__proto__":{"spans":[]},"spans":[{"__proto__":{"a":1}}]}',
  ),
  "an old version": text('{"version":1,"sessionId":"old","spans":[]}'),
  "a version to come": text('{"version":99,"sessionId":"new","spans":[]}'),
  "spans that are null": text('{"version":2,"sessionId":"null","spans":null}'),
  "spans that are no objects": text('{"version":2,"sessionId":"none","spans":[1,"a",null,[],true]}'),
  "times that are no numbers": text(head("times") + line.replace("1,", '"soon",') + tail(0)),
  "the document of another session": text(head("another") + line + tail(0)),
  "a directory as document": directory(".json"),
  "a link to itself as document": (path) => symlinkSync(`${path}.json`, `${path}.json`),
  "a link to an endless file as document": link("/dev/zero", ".json"),
  "a link to a file of the user as document": link("/etc/passwd", ".json"),
  "a pipe as document": (path) => pipe(`${path}.json`),
  "a directory as append log": directory(open),
  "a directory as journal": directory(live),
  "an append log without content": hollow(open),
  "a journal without content": hollow(live),
  "an append log with a long line": hollow(open, [[hole - 1, "\n"]]),
  "a journal with a long line": hollow(live, [[hole - 1, "\n"]]),
  "an append log whose end claims a tail": hollow(open, [
    [0, head("claim")],
    [hole - 100, `\n${" ".repeat(60)}"layout":{"v":1,"tailStart":77}}\n`],
  ]),
  "an empty append log": text("", open),
  "an empty journal": text("", live),
  "an append log of garbage": text("garbage\n".repeat(many), open),
  "a journal of garbage": text('{"garbage":1}\n'.repeat(many), live),
  "an append log of one span many times": text(head("often") + line + `,${line}`.repeat(many), open),
  "a pipe as append log": (path) => pipe(`${path}${open}`),
  "a pipe as journal": (path) => pipe(`${path}${live}`),
  "a link to an endless file as append log": link("/dev/zero", open),
  "a link to itself as journal": (path) => symlinkSync(`${path}${live}`, `${path}${live}`),
  "a copy without content": hollow(`.json.tmp.${token}.1`),
  "a directory as copy": directory(`.json.tmp.${token}.1`),
  "a file as lock": text("", ".json.lock"),
  "a link to the root as lock": link("/", ".json.lock"),
  "a lock with many claims": (path) => {
    mkdirSync(`${path}.json.lock`);
    for (let n = 0; n < many / 10; n++) writeFileSync(`${path}.json.lock/1-1-${n}-aaaaaaaa-bbbbbbbb`, "");
  },
  "a directory as checkpoint": directory(".json.replayed"),
  "a checkpoint without content": hollow(".json.replayed"),
  "a damaged file without content": hollow(`.json.damaged.${token}`),
  "a name that is no UTF-8": (path) =>
    writeFileSync(Buffer.concat([Buffer.from(path), Buffer.of(0xff), Buffer.from(open)]), ""),
  "many files of another program": (path) => {
    for (let n = 0; n < many; n++) writeFileSync(`${path}.${n}.txt`, "");
  },
};

/** Kinds of files of the process and not of a session: one of each in a directory. */
export const hostileLogs: Readonly<Record<string, (dir: string) => void>> = {
  "an unnamed log without content": (dir) => sparse(`${dir}/unnamed.1-1-2-aaaaaaaa-bbbbbbbb.live`, hole),
  "an unnamed log with a long line": (dir) =>
    sparse(`${dir}/unnamed.1-1-3-aaaaaaaa-bbbbbbbb.live`, hole, [[hole - 1, "\n"]]),
  "an unnamed log of garbage": (dir) =>
    writeFileSync(`${dir}/unnamed.1-1-4-aaaaaaaa-bbbbbbbb.live`, "garbage\n".repeat(many)),
  "a directory as unnamed log": (dir) => mkdirSync(`${dir}/unnamed.1-1-5-aaaaaaaa-bbbbbbbb.live`),
};

/** Plants these kinds, each under a session name of its own. The leases of all owners have expired. */
export function plantHostile(dir: string, names: readonly string[]): void {
  for (const [index, name] of names.entries()) {
    hostileKinds[name]?.(join(dir, `h${index}`));
    hostileLogs[name]?.(dir);
  }
  const hourAgo = new Date(Date.now() - 3_600_000);
  for (const file of readdirSync(dir, { encoding: "buffer" })) {
    const path = Buffer.concat([Buffer.from(`${dir}/`), file]);
    if (!/\.(?:open|live)$/.test(file.toString("latin1"))) continue;
    try {
      utimesSync(path, hourAgo, hourAgo);
    } catch {
      // A link without a target.
    }
  }
}
