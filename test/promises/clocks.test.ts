/**
 * Processes with different clocks, and clocks that are set while a session runs: no time of a document goes back, and no
 * status follows from a time alone.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { CommandedHost } from "../support/commanded-host.js";
import { isTorture } from "../support/trials.js";

let dir: string;
let hosts: CommandedHost[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "clocks-"));
  hosts = [];
});
afterEach(async () => {
  for (const host of hosts) await host.kill();
  rmSync(dir, { recursive: true, force: true });
});

const hour = 3_600_000;

/** A process whose clock is ahead. */
async function processAhead(millis: number): Promise<CommandedHost> {
  const host = new CommandedHost(dir);
  hosts.push(host);
  await host.command("clock", [], String(millis));
  return host;
}

const document = (): TraceFile => JSON.parse(readFileSync(join(dir, "s.json"), "utf8"));
const named = (name: string): TraceSpan | undefined => document().spans.find((span) => span.name === name);

/** Names of spans, with `*` for interrupted ones. */
const names = (): string[] =>
  document()
    .spans.filter(({ kind }) => kind !== "session")
    .map(({ name, interrupted }) => (interrupted ? `${name}*` : name))
    .sort();

/** No time goes back. */
function expectOrder(): void {
  const { spans, summary, startedAt, endedAt } = document();
  for (const { name, startTime, endTime = startTime } of spans)
    expect({ name, elapsed: endTime - startTime }).toEqual({
      name,
      elapsed: expect.toSatisfy((n) => n >= 0),
    });
  expect(Date.parse(endedAt)).toBeGreaterThanOrEqual(Date.parse(startedAt));
  expect(Date.parse(summary.lastActivityAt ?? "")).toBeGreaterThanOrEqual(Date.parse(startedAt));
  expect(Date.parse(endedAt)).toBeGreaterThanOrEqual(Date.parse(summary.lastActivityAt ?? ""));
  // Times of files have fractions of a millisecond.
  expect(Math.floor(summary.duration)).toBe(Date.parse(endedAt) - Date.parse(startedAt));
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
}

const ends = {
  "endSession()": (host: CommandedHost) => host.command("endSession", ["s"]),
  "shutdown()": (host: CommandedHost) => host.command("shutdown"),
  "a crash fence": (host: CommandedHost) => host.fence(),
  async "SIGKILL and a recovery"(host: CommandedHost) {
    await host.kill();
    expect((await recoverTraces(dir)).failures).toEqual([]);
  },
} as const;
type End = keyof typeof ends;
const allEnds = Object.keys(ends) as End[];

describe("P14 a clock that is set while a session runs", () => {
  const all = allEnds.flatMap((end) => [-hour, hour].map((jump) => ({ end, jump })));
  const cells = all.filter(({ end, jump }) => isTorture || jump < 0 || end === "shutdown()");
  test.each(cells)(
    "by $jump ms, then $end: no time goes back, and the status is that of the work",
    async ({ end, jump }) => {
      const host = await processAhead(0);
      await host.command("record", ["s"], "before");
      await host.command("start", ["s"], "across");
      await host.command("flush");
      await host.command("clock", [], String(jump));
      await host.command("record", ["s"], "after");
      await host.command("flush");
      expect(document().summary.status).toBe("running");
      expectOrder();
      await host.command("end");
      await host.command("start", ["s"], "left open");
      await ends[end](host);
      const isCrash = end === "a crash fence" || end === "SIGKILL and a recovery";
      expect(document().summary).toMatchObject({ status: isCrash ? "crashed" : "completed", interrupted: 1 });
      expect(names()).toEqual(["across", "after", "before", "left open*"]);
      expectOrder();
      // The session ends after all its spans. A recovery has only the times of the files, which this clock does not set.
      const last = Math.max(...document().spans.map(({ endTime = 0 }) => endTime));
      const session = document().spans.find(({ kind }) => kind === "session");
      if (end !== "SIGKILL and a recovery") expect(session?.endTime).toBe(last);
      expect(readdirSync(dir).filter((name) => end !== "a crash fence" && name !== "s.json")).toEqual([]);
    },
  );
});

describe("P7 P14 two processes on one session whose clocks differ by an hour", () => {
  const all = allEnds.flatMap((end) =>
    [0, hour].flatMap((ahead) => [true, false].map((dies) => ({ end, ahead, dies }))),
  );
  const cells = isTorture ? all : [0, 6, 13, 15].map((n) => all[n] as (typeof all)[number]);
  test.each(cells)(
    "$end of the second (the first by $ahead ms ahead; dies: $dies)",
    async ({ end, ahead, dies }) => {
      const [a, b] = [await processAhead(ahead), await processAhead(hour - ahead)];
      await a.command("record", ["s"], "a1");
      await a.command("flush");
      await b.command("record", ["s"], "b1");
      await b.command("flush");
      await a.command("start", ["s"], "a open");
      await a.command("flush");
      expect(document().summary.status).toBe("running");
      expectOrder();
      if (dies) await a.kill();
      else {
        await a.command("end");
        await a.command("shutdown");
      }
      await b.command("record", ["s"], "b2");
      await b.command("start", ["s"], "b open");
      await ends[end](b);
      expect((await recoverTraces(dir)).failures).toEqual([]);
      expect(names()).toEqual(["a1", dies ? "a open*" : "a open", "b open*", "b1", "b2"].sort());
      const isCrash = end === "a crash fence" || end === "SIGKILL and a recovery";
      expect(document().summary.status).toBe(isCrash ? "crashed" : "completed");
      expect(document().summary.interrupted).toBe(dies ? 2 : 1);
      expect(named("a1")?.endTime).toBeDefined();
      expectOrder();
    },
  );
});
