/** Retention counts and removes only documents of the library. A file is one by its head, not by its name. */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileExporter } from "../../src/altimate/trace-file-exporter.js";
import { nameCandidates } from "../../src/format/file-names.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import { runAsync } from "../../src/platform/gensync.js";
import { prune, type Retention } from "../../src/recovery/retention.js";
import { sweep } from "../../src/recovery/sweep.js";
import { foldingFileSystem } from "../support/folding-file-system.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { Stage } from "../support/session-stage.js";
import { documentOf } from "../support/trace-documents.js";

const hour = 3_600_000;
const day = 24 * hour;

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

const at = (fileName: string) => `${stage.dir}/${fileName}`;

/** Sets the modification time of a file to this many days ago. */
function age(fileName: string, days: number): void {
  const then = (Date.now() - days * day) / 1_000;
  utimesSync(at(fileName), then, then);
}

/** Settled documents of the library, this many days old. */
async function settled(days: Readonly<Record<string, number>>): Promise<void> {
  const exporter = new FileExporter(stage.dir, 0);
  for (const [id, old] of Object.entries(days)) {
    await exporter.export(documentOf(id));
    age(`${id}.json`, old);
  }
}

/** Files that are older than all documents. */
function foreign(content: string, ...fileNames: string[]): void {
  for (const fileName of fileNames) {
    writeFileSync(at(fileName), content);
    age(fileName, 900);
  }
}

async function keep(limits: Partial<Retention>, fileSystem: FileSystem = nodeFileSystem): Promise<void> {
  const ports = { fileSystem, liveness: new MortalLiveness(), clock: systemClock };
  const all = { maxFiles: 0, maxFileAgeMillis: 0, maxTotalBytes: 0, ...limits };
  await runAsync(fileSystem, sweep(ports, stage.dir));
  await runAsync(fileSystem, prune(ports, stage.dir, all));
}

/** The machine's file system, which notes the files that are read. */
function watched(): { fileSystem: FileSystem; opened: string[]; bytes: () => number } {
  const opened: string[] = [];
  let bytes = 0;
  const async = { ...nodeFileSystem.async };
  async.open = (path, mode) => {
    opened.push(path.slice(stage.dir.length + 1));
    return nodeFileSystem.async.open(path, mode);
  };
  async.read = async (...args) => {
    const got = await nodeFileSystem.async.read(...args);
    bytes += got;
    return got;
  };
  return { fileSystem: { ...nodeFileSystem, async }, opened, bytes: () => bytes };
}

const oldTracer = (id: string): Omit<TraceFile, "id"> => {
  const { id: _, ...document } = documentOf(id);
  return document;
};

/** Foreign files that can be in a directory of documents. */
const kinds: Readonly<Record<string, () => void>> = {
  "package.json": () => writeFileSync(at("package.json"), '{"name":"mine","version":"2.0.0"}'),
  "tsconfig.json": () => writeFileSync(at("tsconfig.json"), '{\n  // mine\n  "compilerOptions": {}\n}\n'),
  "list.json": () => writeFileSync(at("list.json"), JSON.stringify([documentOf("list")])),
  "empty.json": () => writeFileSync(at("empty.json"), ""),
  "huge.json": () => {
    writeFileSync(at("huge.json"), '{"version":2,"notes":"');
    truncateSync(at("huge.json"), 3 * 2 ** 30);
  },
  "folder.json": () => mkdirSync(at("folder.json")),
  "pipe.json": () => void execFileSync("mkfifo", [at("pipe.json")]),
  "link.json": () => symlinkSync(at("s1.json"), at("link.json")),
  "backup.json": () => copyFileSync(at("s1.json"), at("backup.json")),
  "oldbackup.json": () => writeFileSync(at("oldbackup.json"), JSON.stringify(oldTracer("s1"), null, 2)),
  "S1.json": () => copyFileSync(at("s1.json"), at("S1.json")),
  "later.json": () => writeFileSync(at("later.json"), JSON.stringify({ ...documentOf("later"), version: 3 })),
  "bare.json": () => writeFileSync(at("bare.json"), '{"version":2,"sessionId":"bare"}'),
  "cut.json": () => writeFileSync(at("cut.json"), '{"version":2,"id":"cut","traceId":"0","sessionId":"cut'),
  "late.json": () => {
    const { metadata: _, ...rest } = documentOf("late");
    const metadata = { prompt: "x".repeat(2_000_000) };
    writeFileSync(at("late.json"), JSON.stringify({ metadata, ...rest }));
  },
};

describe("P7 P9 a foreign file", () => {
  test.each(Object.keys(kinds))("%s is neither counted nor removed", async (fileName) => {
    await settled({ s1: 3, s2: 2, s3: 1 });
    kinds[fileName]?.();
    if (fileName !== "link.json" && fileName !== "pipe.json") age(fileName, 900);
    await keep({ maxFiles: 3, maxTotalBytes: 2 ** 20 });
    expect(stage.files).toEqual([fileName, "s1.json", "s2.json", "s3.json"].sort());
    await keep({ maxFiles: 2, maxFileAgeMillis: 10 * day });
    expect(stage.files).toEqual([fileName, "s2.json", "s3.json"].sort());
    await keep({ maxTotalBytes: 1 });
    expect(stage.files).toEqual([fileName]);
  });

  test.each(Object.keys(kinds))("%s stays among documents of the altimate API", async (fileName) => {
    await settled({ s1: 3, s2: 2, s3: 1 });
    kinds[fileName]?.();
    if (fileName !== "link.json" && fileName !== "pipe.json") age(fileName, 900);
    new FileExporter(stage.dir, 2, { maxFileAgeMillis: 10 * day }).pruneSync();
    expect(stage.files).toEqual([fileName, "s2.json", "s3.json"].sort());
  });

  test("removes no document, however many there are", async () => {
    const names = Array.from({ length: 50 }, (_, n) => `config-${n}.json`);
    foreign('{"mine":true}', ...names);
    await settled({ s1: 3, s2: 2 });
    await keep({ maxFiles: 2 });
    expect(stage.files).toHaveLength(52);
    await settled({ s3: 1 });
    await keep({ maxFiles: 2 });
    expect(stage.files).toEqual([...names, "s2.json", "s3.json"].sort());
  });

  test("is not counted by its bytes", async () => {
    await settled({ s1: 3, s2: 2 });
    foreign(`{"mine":"${"x".repeat(100_000)}"}`, "data.json");
    await keep({ maxTotalBytes: 50_000 });
    expect(stage.files).toEqual(["data.json", "s1.json", "s2.json"]);
  });

  test("keeps the files that carry its name", async () => {
    await settled({ s1: 3, s2: 2 });
    const carried = ["data.json.damaged.a-1-2-3-4", "data.json.replayed", "data.json.tmp.a-1-2-3-4.1"];
    foreign("mine", "data.json", ...carried);
    foreign("of a document", "s1.json.damaged.a-1-2-3-4", "s1.json.replayed", "s1.json.tmp.a-1-2-3-4.1");
    await keep({ maxFileAgeMillis: 2.5 * day });
    expect(stage.files).toEqual(["data.json", ...carried, "s2.json"]);
  });

  test("is judged anew when it replaces a document", async () => {
    await settled({ s1: 3, s2: 2, s3: 1 });
    await keep({ maxFiles: 3, maxTotalBytes: 1_000_000 });
    foreign('{"mine":true}', "s1.json");
    await keep({ maxFiles: 2 });
    expect(stage.files).toEqual(["s1.json", "s2.json", "s3.json"]);
  });

  test("is counted again once a document replaces it", async () => {
    foreign('{"mine":true}', "s0.json");
    await settled({ s1: 2, s2: 1 });
    await keep({ maxFiles: 2 });
    expect(stage.files).toHaveLength(3);
    rmSync(at("s0.json"));
    await settled({ s0: 3 });
    await keep({ maxFiles: 2 });
    expect(stage.files).toEqual(["s1.json", "s2.json"]);
  });

  test("stays if a document replaces it while it is read", async () => {
    await settled({ s1: 3 });
    renameSync(at("s1.json"), at("document"));
    foreign("mine".repeat(1_000), "s1.json");
    const async = { ...nodeFileSystem.async };
    async.open = async (path, mode) => {
      renameSync(path, at("mine"));
      renameSync(at("document"), path);
      return nodeFileSystem.async.open(path, mode);
    };
    async.read = async (...args) => {
      const got = await nodeFileSystem.async.read(...args);
      if (existsSync(at("mine"))) renameSync(at("s1.json"), at("document"));
      if (existsSync(at("mine"))) renameSync(at("mine"), at("s1.json"));
      return got;
    };
    await keep({ maxFileAgeMillis: day }, { ...nodeFileSystem, async });
    expect(stage.files).toEqual(["document", "s1.json"]);
  });

  test("stays if it takes the name of a document while the document is judged", async () => {
    await settled({ s1: 3, s2: 2 });
    const async = { ...nodeFileSystem.async };
    async.open = async (path, mode) => {
      const fd = await nodeFileSystem.async.open(path, mode);
      if (path === at("s1.json")) {
        foreign("mine", "mine");
        renameSync(at("mine"), path);
      }
      return fd;
    };
    await keep({ maxFiles: 1 }, { ...nodeFileSystem, async });
    expect(readFileSync(at("s1.json"), "utf8")).toBe("mine");
  });
});

describe("P7 a document of the library is counted and removed", () => {
  const released = (name: string) =>
    readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), "utf8");
  const sorted = (document: object) =>
    JSON.stringify(Object.fromEntries(Object.entries(document).sort(([a], [b]) => (a < b ? -1 : 1))));
  const hashed = (id: string) => nameCandidates(id).at(-1) as string;

  test.each<[string, string, string]>([
    ...["capped", "completed", "crashed", "error", "recovered", "resumed", "running"].map(
      (name): [string, string, string] => [
        `of 0.1.0, ${name}`,
        "ses_golden",
        released(`released/0.1.0/${name}`),
      ],
    ),
    ["of the old tracer", "ses_old", released("old-tracer/interrupted")],
    ["of the old tracer, on one line", "s0", JSON.stringify(oldTracer("s0"))],
    ["of the old tracer, named by the sanitised id", "a_b", JSON.stringify(oldTracer("a/b"), null, 2)],
    ["with sorted members", "s0", sorted(documentOf("s0"))],
    ["after a byte-order mark", "s0", `\ufeff${JSON.stringify(documentOf("s0"))}`],
    ["with a hashed name", hashed("a/b"), JSON.stringify(documentOf("a/b"))],
    ["with rotten spans", "s0", `${JSON.stringify(documentOf("s0")).slice(0, 300)}\0\0\0`],
  ])("%s", async (_, name, text) => {
    writeFileSync(at(`${name}.json`), text);
    age(`${name}.json`, 9);
    await settled({ t1: 3, t2: 2 });
    await keep({ maxFiles: 3, maxFileAgeMillis: 10 * day });
    expect(stage.files).toHaveLength(3);
    await keep({ maxFiles: 2 });
    expect(stage.files).toEqual(["t1.json", "t2.json"]);
  });

  test("with any id, as both writers name it", async () => {
    const ids = ["", ".", "..", "a/b", "a.b", "a_b", "con", "x".repeat(300), "\ud800", "a\0b", "end ", "ü:ñ"];
    const [exporter, actor] = [new FileExporter(stage.dir, 0), stage.actor()];
    for (const id of ids) {
      await exporter.export(documentOf(`exported ${id}`));
      actor.record(`recorded ${id}`, 1);
      actor.record(id, 1);
    }
    await actor.processor.shutdown();
    expect(stage.files.length).toBeGreaterThan(2 * ids.length);
    await keep({ maxTotalBytes: 1 });
    expect(stage.files).toEqual([]);
  });

  test("when an exporter starts, and no other file of the directory", async () => {
    await settled({ s1: 3, s2: 2 });
    foreign('{"name":"mine"}', "package.json", "tsconfig.json");
    const actor = stage.actor({ maxFiles: 1 });
    actor.clock.pass(0);
    await expect.poll(() => stage.files).toEqual(["package.json", "s2.json", "tsconfig.json"]);
    await actor.processor.shutdown();
  });

  test("under a name that differs in letter case, where the file system folds case", async () => {
    await settled({ S0: 3 });
    renameSync(at("S0.json"), at("s0.json"));
    await settled({ s1: 2 });
    await keep({ maxFiles: 1 }, foldingFileSystem(stage.dir));
    expect(stage.files).toEqual(["s1.json"]);
  });
});

describe("P8 reading of heads", () => {
  test("waits until the names alone are too many, too old or too large", async () => {
    await settled({ s1: 3, s2: 2 });
    foreign("{}", "data.json");
    const { fileSystem, opened } = watched();
    await keep({ maxFiles: 3, maxFileAgeMillis: 1_000 * day, maxTotalBytes: 1_000_000 }, fileSystem);
    expect(opened).toEqual([]);
    await keep({ maxFileAgeMillis: 10 * day }, fileSystem);
    expect(opened).toEqual(["data.json"]);
  });

  test("reads at most a megabyte of a file", async () => {
    await settled({ s1: 3 });
    kinds["huge.json"]?.();
    const { fileSystem, bytes } = watched();
    await keep({ maxFiles: 1 }, fileSystem);
    expect(bytes()).toBeLessThanOrEqual(2 ** 20 + 3 * 4_096);
    expect(existsSync(at("huge.json"))).toBe(true);
  });

  test("is not repeated for a file that has not changed since", async () => {
    const names = Array.from({ length: 50 }, (_, n) => `config-${n}.json`);
    foreign("[]", ...names);
    await settled({ s1: 3, s2: 2 });
    await keep({ maxFiles: 2 });
    const { fileSystem, opened } = watched();
    await keep({ maxFiles: 2 }, fileSystem);
    expect(opened).toEqual([]);
    foreign('{"mine":2}', "config-7.json");
    await keep({ maxFiles: 2 }, fileSystem);
    expect(opened).toEqual(["config-7.json"]);
  });

  test("skips a file that cannot be opened", async () => {
    await settled({ s1: 3, s2: 2 });
    const async = { ...nodeFileSystem.async };
    async.open = (path, mode) =>
      path === at("s1.json")
        ? Promise.reject(Object.assign(new Error("not permitted"), { code: "EACCES" }))
        : nodeFileSystem.async.open(path, mode);
    await keep({ maxFileAgeMillis: 1.5 * day }, { ...nodeFileSystem, async });
    expect(stage.files).toEqual(["s1.json"]);
  });
});

describe("P7 a modification time in the future", () => {
  test("makes no document younger than documents that were written later", async () => {
    await settled({ s1: -300 });
    await settled({ s2: 0, s3: 0 });
    const now = (seconds: number) =>
      utimesSync(at(seconds > 0 ? "s3.json" : "s2.json"), new Date(), new Date());
    now(0);
    now(1);
    await keep({ maxFiles: 2 }, changedAt("s1.json", Date.now() - day));
    expect(stage.files).toEqual(["s2.json", "s3.json"]);
  });

  test("does not remove a document for its age", async () => {
    await settled({ s1: -300, s2: 9 });
    await keep({ maxFileAgeMillis: 8 * day }, changedAt("s1.json", Date.now() + 300 * day));
    expect(stage.files).toEqual(["s1.json"]);
  });

  test("is removed first where the change time is in the future as well: the clock was wrong when both were set", async () => {
    await settled({ s1: -300, s2: 9, s3: 8 });
    await keep({ maxFiles: 2 }, changedAt("s1.json", Date.now() + 300 * day));
    expect(stage.files).toEqual(["s2.json", "s3.json"]);
  });

  test("is used where another machine's clock is some minutes ahead", async () => {
    await settled({ s1: -0.01, s2: 9, s3: 8 });
    await keep({ maxFiles: 2 }, changedAt("s1.json", Date.now() + 0.01 * day));
    expect(stage.files).toEqual(["s1.json", "s3.json"]);
  });

  /** No program can set a change time, so the file system of the test returns it. */
  function changedAt(fileName: string, millis: number): FileSystem {
    const async = { ...nodeFileSystem.async };
    async.lstat = async (path) => {
      const stat = await nodeFileSystem.async.lstat(path);
      return stat && path === at(fileName)
        ? { ...stat, ctimeNs: BigInt(Math.trunc(millis)) * 1_000_000n }
        : stat;
    };
    return { ...nodeFileSystem, async };
  }
});
