/** A directory of sessions in every state, and the command line run on it in this process. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { onTestFinished } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { SystemLiveness } from "../../src/platform/liveness.js";

/** The moment at which the commands run: a few minutes after the sessions. */
const now = Date.UTC(2026, 0, 2, 3, 10, 0);
/** The last write of the side files. */
const lastWrite = new Date(Date.UTC(2026, 0, 2, 3, 4, 10));

/** Documents of a release, which never change. */
const released = "test/fixtures/released/0.1.0";
const sideFiles = "ses_killed.json.1-1-0-00000000-00000000";

/** A document of the release under an id of the same length: the offset in its last line stays right. */
const documentAs = (fixture: string, id: string): string =>
  readFileSync(`${released}/${fixture}.json`, "utf8").replaceAll("ses_golden", id);

/** A document with the members of the summary that came after the release. */
function newerDocument(id: string): object {
  const document = JSON.parse(documentAs("crashed", "ses_golden").replaceAll("ses_golden", id));
  const newer = { turns: 3, errors: 2, interrupted: 2, detector: "SIGTERM", reconstructed: true };
  return {
    ...document,
    summary: { ...document.summary, ...newer, lastActivityAt: "2026-01-02T03:04:09.500Z" },
  };
}

/**
 * A directory with sessions that are finished, failed, crashed, capped, dead (not recovered), active (this process has
 * its files), damaged in a line, cut off and empty; of another tracer; and a file that is no trace.
 */
export function commandDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), "command-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const write = (name: string, text: string | Buffer) => {
    writeFileSync(join(dir, name), text);
    utimesSync(join(dir, name), lastWrite, lastWrite);
  };
  write("ses_finish.json", documentAs("completed", "ses_finish"));
  write("ses_failed.json", documentAs("error", "ses_failed"));
  write("ses_crashd.json", documentAs("recovered", "ses_crashd"));
  write("ses_capped.json", documentAs("capped", "ses_capped"));
  write("ses_newer.json", JSON.stringify(newerDocument("ses_newer")));
  for (const end of ["open", "live"]) {
    const text = readFileSync(`${released}/${sideFiles}.${end}`, "utf8");
    write(`${sideFiles}.${end}`, text);
    const token = ownToken;
    write(`ses_active.json.${token}.${end}`, text.replaceAll("ses_killed", "ses_active"));
  }
  const damaged = Buffer.from(documentAs("crashed", "ses_broken"));
  damaged.fill("x", damaged.indexOf('"sql_execute"'), damaged.indexOf('"sql_execute"') + 3);
  write("ses_broken.json", damaged);
  write("ses_cutoff.json", documentAs("completed", "ses_cutoff").slice(0, 5_000));
  write("ses_empty.json", "");
  cpSync("test/fixtures/old-tracer/bare.json", join(dir, "old_tracer.json"));
  write("package.json", '{"name":"no trace"}\n');
  return dir;
}

const ownToken = new SystemLiveness(nodeFileSystem.sync).newToken();

export interface Surroundings {
  /** Columns of a terminal; without them, stdout is a pipe. */
  readonly columns?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly signal?: AbortSignal;
  /** Is called with each text that the command writes to stdout. */
  readonly onOutput?: (text: string) => void;
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line on a directory. */
export async function command(
  dir: string,
  args: readonly string[],
  { columns, env = {}, cwd = dir, signal = new AbortController().signal, onOutput }: Surroundings = {},
): Promise<Outcome> {
  let out = "";
  let err = "";
  const code = await runCommandLine(args, {
    stdout: {
      isTTY: columns !== undefined,
      columns,
      write(text) {
        out += text;
        onOutput?.(text);
        return true;
      },
    },
    stderr: {
      write(text) {
        err += text;
        return true;
      },
    },
    env: { CRASH_SAFE_FILE_DIR: dir, ...env },
    cwd,
    now: () => now,
    signal,
  });
  return { code, out, err };
}

/** The outcome as a golden text: what a person sees, with the directory as `<dir>`. */
export function golden(dir: string, { code, out, err }: Outcome): string {
  const text = `${out}--- stderr\n${err}--- exit code ${code}\n`;
  return stripVTControlCharacters(text).replaceAll(dir, "<dir>").replaceAll(String(process.pid), "<pid>");
}

/** A directory for files that a command writes. */
export function emptyDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), "command-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, "traces"));
  return join(dir, "traces");
}
