/**
 * P14 The status table: the summary for each state of a session, whatever became of its process. Real processes, through the
 * session tracer, spans of the Vercel AI SDK and plain spans.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { describe, expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { SessionSummary, TraceFile } from "../../src/format/trace-file.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";

const program = fileURLToPath(new URL("../programs/status-row.mjs", import.meta.url));
const ways = ["tracer", "plain", "ai"] as const;
const states = ["open", "tools", "idle", "ended", "error"] as const;
type State = (typeof states)[number];
const rows = ways.flatMap((way) => states.map((state) => [way, state] as const));

type Member = "status" | "idle" | "error" | "turns" | "errors" | "interrupted" | "detector" | "reconstructed";
type Words = { readonly [Name in Member]?: SessionSummary[Name] | undefined };

const wordsOf = ({ summary }: TraceFile): Words => {
  const { status, idle, error, turns, errors, interrupted, detector, reconstructed } = summary;
  return { status, idle, error, turns, errors, interrupted, detector, reconstructed };
};

async function begin(dir: string, way: string, state: State, fate: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program, dir, way, state, fate], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout as NonNullable<ChildProcess["stdout"]>, "data");
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "close");
}

async function inDirectory(run: (dir: string, read: () => TraceFile) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "status-table-"));
  try {
    await run(dir, () => JSON.parse(readFileSync(join(dir, "s.json"), "utf8")));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What the summary says in every row of a state. */
const words = (way: string, status: SessionSummary["status"], more: Words = {}): Words => ({
  status,
  idle: undefined,
  error: undefined,
  turns: way === "tracer" ? 1 : 0,
  errors: 0,
  interrupted: 0,
  detector: undefined,
  reconstructed: undefined,
  ...more,
});

const ends: Partial<Record<State, Words>> = {
  ended: { status: "completed" },
  error: { status: "error", error: "boom" },
};

describe.concurrent("P14 the summary of a session", () => {
  test.each(rows)(
    "through %s, %s: alive, then killed and recovered",
    async (way, state) => {
      await inDirectory(async (dir, read) => {
        const child = await begin(dir, way, state, "lives");
        const alive: Record<State, Words> = {
          open: { status: "running" },
          tools: { status: "running" },
          idle: { status: "completed", idle: true },
          ...(ends as Record<"ended" | "error", Words>),
        };
        expect(wordsOf(read())).toEqual(words(way, "running", alive[state]));
        await kill(child);
        await recoverTraces(dir);
        const crash: Words = {
          status: "crashed",
          error: "The process ended without closing the session",
          detector: "process gone",
          reconstructed: true,
        };
        const dead: Record<State, Words> = {
          open: { ...crash, interrupted: 1 },
          tools: crash,
          idle: { status: "completed" },
          ...(ends as Record<"ended" | "error", Words>),
        };
        expect(wordsOf(read())).toEqual(words(way, "crashed", dead[state]));
        expect(readdirSync(dir)).toEqual(["s.json"]);
      });
    },
    120_000,
  );

  test.each(rows)(
    "through %s, %s: shut down",
    async (way, state) => {
      await inDirectory(async (dir, read) => {
        await kill(await begin(dir, way, state, "shutdown"));
        const found = read();
        const cut = state === "open" ? { interrupted: 1 } : {};
        expect(wordsOf(found)).toEqual(words(way, "completed", { ...cut, ...ends[state] }));
        // 100 ms of idle time are no part of the session, where no call ended it and nothing was open.
        const { summary, endedAt } = found;
        if (state === "tools" || state === "idle") expect(endedAt).toBe(summary.lastActivityAt);
        if (state === "open")
          expect(found.spans.find(({ kind }) => kind !== "session" && kind !== "user-message")).toMatchObject(
            {
              status: "error",
              interrupted: true,
              statusMessage: expect.stringMatching(/^Interrupted: /),
            },
          );
      });
    },
    120_000,
  );

  test.each(ways)(
    "through %s: a twin that is killed during work leaves the session to the other",
    async (way) => {
      for (const state of ["open", "tools", "idle"] as const)
        await inDirectory(async (dir, read) => {
          const twin = await begin(dir, way, state, "lives");
          const processor = new CrashSafeSpanProcessor(new CrashSafeFileSpanExporter({ dir }));
          const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("agent");
          const record = () => tracer.startSpan("work", { attributes: { "session.id": "s" } }).end();
          record();
          await kill(twin);
          await recoverTraces(dir);
          const lost: Words = {
            interrupted: state === "open" ? 1 : 0,
            detector: state === "idle" ? undefined : "process gone",
          };
          record();
          await processor.forceFlush();
          expect(wordsOf(read())).toEqual(words(way, "completed", { ...lost, idle: true }));
          await processor.shutdown();
          expect(wordsOf(read())).toEqual(words(way, "completed", lost));
        });
    },
    120_000,
  );

  test.each(["plain", "ai"] as const)(
    "through %s: a silence that ends the session is no part of it",
    async (way) => {
      await inDirectory(async (dir, read) => {
        const child = await begin(dir, way, "idle", "silent");
        await expect.poll(() => readdirSync(dir), { timeout: 60_000 }).toEqual(["s.json"]);
        expect(wordsOf(read())).toEqual(words(way, "completed"));
        expect(read().endedAt).toBe(read().summary.lastActivityAt);
        await kill(child);
      });
    },
    120_000,
  );
});
