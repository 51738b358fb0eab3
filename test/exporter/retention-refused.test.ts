/** Retention of a running program beside files that the file system refuses. */

import { existsSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { afterEach, expect, test, vi } from "vitest";
import { FileExporter } from "../../src/altimate.js";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { emptyDirectory } from "../support/command-stage.js";
import { refuse } from "../support/refused-calls.js";
import { documentOf } from "../support/trace-documents.js";

afterEach(() => diag.disable());

/** Lines of the log from now on. */
function newLog(): string[] {
  const logged: string[] = [];
  const log = (text: string, ...rest: unknown[]) => void logged.push([text, ...rest].join(" "));
  diag.setLogger({ error: log, warn: log, info: log, debug() {}, verbose() {} }, DiagLogLevel.INFO);
  return logged;
}

/** A directory with documents, the oldest first. */
function directoryOf(documents: number): string {
  const dir = emptyDirectory();
  for (let n = 0; n < documents; n++) {
    writeFileSync(join(dir, `ses_${n}.json`), JSON.stringify(documentOf(`ses_${n}`)));
    utimesSync(join(dir, `ses_${n}.json`), 1_000_000 + n, 1_000_000 + n);
  }
  return dir;
}

test("P14 retention logs once which document it cannot read or remove, and why", async () => {
  const logged = newLog();
  const dir = directoryOf(4);
  refuse("open", "EACCES", /ses_0\.json$/);
  refuse("rename", "EPERM", /ses_1\.json$/);
  const pass = async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir, maxFiles: 1 });
    await vi.waitUntil(() => !existsSync(join(dir, "ses_2.json")), 10_000);
    return exporter;
  };
  const exporter = await pass();
  const kept = () => logged.filter((line) => line.includes("retention keeps"));
  await vi.waitUntil(() => kept().length > 1, 10_000);
  expect(kept()).toEqual([
    expect.stringContaining(`retention keeps ${join(dir, "ses_0.json")}: it cannot be read: EACCES`),
    expect.stringContaining(`retention keeps ${join(dir, "ses_1.json")}: it cannot be removed: EPERM`),
  ]);
  expect(logged.join("\n")).not.toMatch(/cannot write|kept in memory/);
  await exporter.shutdown();
  expect(exporter.stats().faults).toBe(0);
  expect(kept()).toHaveLength(2);
});

test("P14 so does the file exporter of the drop-in", () => {
  const logged = newLog();
  const dir = directoryOf(3);
  refuse("rename", "EPERM", /ses_0\.json$/);
  for (let times = 0; times < 2; times++) new FileExporter(dir, 1).pruneSync();
  expect(logged).toEqual([
    expect.stringContaining(`retention keeps ${join(dir, "ses_0.json")}: it cannot be removed: EPERM`),
  ]);
});
