/** What an append log and a writer do not write: after a tail, half a move, a journal again and again. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { AppendLog } from "../../src/storage/append-log.js";
import { SessionWriter, type WriterPorts } from "../../src/storage/session-writer.js";
import { ScriptedLiveness } from "../support/session-stage.js";
import { StillClock } from "../support/still-clock.js";

let dir: string;
let faults: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "append-log-"));
  faults = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const onFault = (error: unknown) => void faults.push((error as Error).message);

/** The real file system, of which some calls are replaced. */
const fileSystemWith = (calls: Partial<FileSystem["sync"]>): FileSystem => ({
  sync: { ...nodeFileSystem.sync, ...calls },
  async: nodeFileSystem.async,
});

const fault = (code: string) => Object.assign(new Error(code), { code });

function writerOn(fileSystem: FileSystem, id = "s"): SessionWriter {
  const ports: WriterPorts = {
    fileSystem,
    liveness: new ScriptedLiveness(),
    clock: new StillClock(),
    durability: "process",
    maxSpans: 0,
    events: { onFault },
  };
  return new SessionWriter(ports, dir, { id, traceId: "0".repeat(32), startTime: 1 });
}

describe("P1 an append log with a tail", () => {
  test("takes no record: the record waits for the file that replaces it", () => {
    const path = join(dir, "x.open");
    const log = new AppendLog(nodeFileSystem, path, { onFault });
    log.append(Buffer.from("HEAD\n"));
    log.appendLine(Buffer.from(",one\n"));
    log.end(Buffer.from("TAIL\n"));
    expect(log.appendLine(Buffer.from(",two\n"))).toBe("queued");
    expect(log.flush()).toBe(false);
    expect(readFileSync(path, "utf8")).toBe("HEAD\none\nTAIL\n");
    expect(faults[0]).toMatch(/has its tail/);
    const copy = new AppendLog(nodeFileSystem, join(dir, "copy"), { onFault });
    copy.append(Buffer.from("HEAD\n"));
    copy.appendLine(Buffer.from(",one\n"));
    nodeFileSystem.sync.rename(copy.path, path);
    const descriptor = copy.ensureOpen().hold();
    log.replace({ descriptor, size: copy.size, lines: 1, hasElisionMarker: false });
    expect(log.flush()).toBe(true);
    expect(readFileSync(path, "utf8")).toBe("HEAD\none\n,two\n");
  });
});

describe("P1 a move to the next name", () => {
  test("that the file system refuses half-way leaves both files under the old name", () => {
    let refuses = true;
    const rename = (from: string, to: string) => {
      if (refuses && from.endsWith(".live")) throw fault("EACCES");
      nodeFileSystem.sync.rename(from, to);
    };
    const writer = writerOn(fileSystemWith({ rename }), "a:b");
    const before = readdirSync(dir).sort();
    expect(() => writer.moveToNextName()).toThrow("EACCES");
    expect(readdirSync(dir).sort()).toEqual(before);
    expect(writer.files.name).toBe("a_b");
    expect([writer.log, writer.journal].map(({ path }) => path).sort()).toEqual(
      before.map((name) => join(dir, name)).sort(),
    );
    refuses = false;
    writer.moveToNextName();
    expect(readdirSync(dir).every((name) => name.startsWith("a_b-"))).toBe(true);
    expect(writer.session.head.sessionId).toBe(writer.files.name);
  });
});

describe("P8 a journal beyond its bound", () => {
  test("that cannot be rewritten is encoded once per further megabyte, not at each start", () => {
    let isFull = false;
    let copies = 0;
    const open: FileSystem["sync"]["open"] = (path, mode) => {
      if (mode === "create" && isFull) {
        copies++;
        throw fault("ENOSPC");
      }
      return nodeFileSystem.sync.open(path, mode);
    };
    const writer = writerOn(fileSystemWith({ open }));
    isFull = true;
    const input = "x".repeat(100_000);
    for (let n = 0; n < 40; n++) {
      const span = {
        spanId: n.toString(16).padStart(16, "0"),
        parentSpanId: null,
        name: "work",
        kind: "span" as const,
        startTime: 1,
        status: "ok" as const,
        input,
      };
      writer.recordStart(span, () => span, span);
    }
    expect(writer.journal.size).toBeGreaterThan(4_000_000);
    expect(copies).toBeGreaterThan(0);
    expect(copies).toBeLessThanOrEqual(4);
  });
});
