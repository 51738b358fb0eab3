/**
 * A published document with a corrupt line: a writer that resumes the session, and a recovery of its side files,
 * publish a valid document with every other line, and keep the bytes that could not be decoded.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { spanOf } from "../support/projection-span.js";
import { layOut, recordSession, spansOf } from "../support/recorded-session.js";

const session = await recordSession();
let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "rotten-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

const path = () => join(dir, `${session.name}.json`);

/** Parses the document. Throws when it is not whole, or not UTF-8. */
const documentOf = (): TraceFile =>
  JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(fs.readFileSync(path())));

/** The file that is kept aside. */
const kept = (): Buffer[] =>
  fs
    .readdirSync(dir)
    .filter((name) => name.includes(".json.damaged."))
    .map((name) => fs.readFileSync(join(dir, name)));

/** The third line of spans, which is the last one before the tail in a document cut here. */
const victim = session.lines[2]?.span.spanId as string;
const at = session.published.indexOf(`"${victim}"`);
const inside = session.published.indexOf('"status"', at);
const replaced = (offset: number, bytes: string, encoding: BufferEncoding = "latin1"): Buffer => {
  const rotten = Buffer.from(session.published);
  rotten.write(bytes, offset, encoding);
  return rotten;
};

const rots: Record<string, Buffer> = {
  "is no JSON": replaced(inside, "\0"),
  "is no UTF-8": replaced(inside + 2, "\xff"),
  "names two spans": replaced(inside, '"spanId":'),
};

const intact = [...spansOf(JSON.parse(session.published.toString("utf8"))).values()]
  .filter(({ spanId }) => spanId !== victim)
  .map(({ spanId }) => spanId);

const fresh = () =>
  spanOf({
    name: "new",
    spanContext: () => ({
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "00000000feedbeef",
      traceFlags: 1,
    }),
    attributes: { "session.id": session.id },
  });

describe.each(Object.entries(rots))("a line that %s", (_, rotten) => {
  beforeEach(() => fs.writeFileSync(path(), rotten));

  it("P1 P7 loses only itself when the session is resumed, and the file is kept", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    exporter.recordEnd(fresh());
    await exporter.shutdown();
    const ids = [...spansOf(documentOf()).keys()];
    expect(ids).toEqual(expect.arrayContaining([...intact, "00000000feedbeef"]));
    expect(documentOf().summary.status).toBe("completed");
    expect(kept()).toEqual([rotten]);
  });

  it("P1 loses only itself when the session is resumed and fenced at once", () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    exporter.recordEnd(fresh());
    exporter.crash("test");
    expect([...spansOf(documentOf()).keys()]).toEqual(expect.arrayContaining(intact));
    expect(kept()).toEqual([rotten]);
  });

  it("P1 P2 loses only itself when a dead writer's side files are recovered", async () => {
    layOut(dir, session, { open: session.open, live: session.live });
    expect((await recoverTraces(dir)).failures).toEqual([]);
    const ids = [...spansOf(documentOf()).keys()];
    expect(ids).toEqual(expect.arrayContaining(session.lines.map(({ span }) => span.spanId)));
    expect(kept()).toEqual([rotten]);
  });
});

it.each(Object.entries(rots).slice(0, 1))(
  "P6 a line that %s is reported as damage to a reader",
  async (_, rotten) => {
    fs.writeFileSync(path(), rotten);
    const { trace, damage } = await readTrace(path());
    expect(damage).toEqual({ tornBytes: 0, corruptLines: 1 });
    expect([...spansOf(trace).keys()]).toEqual(intact);
  },
);

it("P7 a tail among the lines of a document is kept with the corrupt copy", async () => {
  const { published } = session;
  const headBytes = published.indexOf("\n") + 1;
  const tailLine = (at: number) =>
    published
      .subarray(published.lastIndexOf(0x0a, -2) + 1)
      .toString()
      .replace(/"tailStart":\d+/, `"tailStart":${at}`);
  const first = tailLine(headBytes);
  const json = Buffer.from(
    `${published.subarray(0, headBytes)}${first}${tailLine(headBytes + Buffer.byteLength(first))}`,
  );
  layOut(dir, session, { open: session.open, live: session.live, json });
  expect((await recoverTraces(dir)).failures).toEqual([]);
  expect(kept()).toEqual([json]);
});

it("P1 a finalized document with a line twice is not renamed to its name unchanged", async () => {
  const { sealed } = session;
  const [from, to] = [session.lines[1]?.from, session.lines[1]?.to] as [number, number];
  const tailStart = sealed.lastIndexOf(0x0a, sealed.length - 2) + 1;
  const tail = sealed.subarray(tailStart).toString();
  const text = tail.replace(/"tailStart":\d+/, `"tailStart":${tailStart + to - from}`);
  const doubled = Buffer.concat([
    sealed.subarray(0, tailStart),
    sealed.subarray(from, to),
    Buffer.from(text),
  ]);
  layOut(dir, session, { open: doubled, live: session.sealedLive });
  const { sessions } = await recoverTraces(dir);
  expect(sessions).toMatchObject([{ action: "rebuilt", status: "completed" }]);
  expect(spansOf(documentOf()).size).toBe(session.lines.length + 3);
});

it.each([
  ["lacks a member", /"endedAt":"[^"]*",/, ""],
  ["lacks a counter", /"duration":\d+,/, ""],
  ["has what is no span", /^/, ",null"],
])("P1 a finalized document whose tail %s is not renamed to its name unchanged", async (_, from, to) => {
  const tailStart = session.sealed.lastIndexOf(0x0a, session.sealed.length - 2) + 1;
  const tail = session.sealed.subarray(tailStart).toString().replace(from, to);
  const open = Buffer.concat([session.sealed.subarray(0, tailStart), Buffer.from(tail)]);
  layOut(dir, session, { open, live: session.sealedLive });
  const { sessions } = await recoverTraces(dir);
  expect(sessions).toMatchObject([{ action: "rebuilt", status: "completed" }]);
  expect(spansOf(documentOf()).size).toBe(session.lines.length + 3);
  expect(documentOf().endedAt).toMatch(/^20/);
});

it("P7 a damaged document and a damaged side file of one recovery are both kept", async () => {
  const open = Buffer.from(session.open);
  open[open.indexOf('"status"', 2000)] = 0;
  const live = Buffer.from(session.live);
  live[live.indexOf('"status"', 2000)] = 0;
  for (const json of [Buffer.from("no document"), rots["is no JSON"] as Buffer]) {
    layOut(dir, session, { open, live, json });
    const { sessions } = await recoverTraces(dir);
    expect(sessions).toMatchObject([{ action: "rebuilt" }]);
    expect(kept()).toHaveLength(3);
    expect(kept()).toEqual(expect.arrayContaining([json, open, live]));
    for (const file of fs.readdirSync(dir)) fs.rmSync(join(dir, file));
  }
});
