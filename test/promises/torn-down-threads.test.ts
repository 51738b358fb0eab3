/** Threads that log a session in one turn and end in the next: everything was written when the calls returned. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LoggerHost, runtimes } from "../support/logger-host.js";
import { interrupted, repeated, worked } from "../support/span-lines.js";

const calls = 50;
const ends = ["the last call", "a running tool", "flush", "endTrace", "finalizeSync", "flushSync"];
const departures = ["is terminated", "exits"];

describe.each(runtimes)("P2 a quiet $name thread", ({ path }) => {
  let host: LoggerHost;
  beforeAll(() => {
    if (path) host = new LoggerHost(path);
  });
  afterAll(() => host?.end());

  test.skipIf(!path).each(ends.flatMap((end) => departures.map((departure) => [departure, end] as const)))(
    "that %s right after %s has every span in its document",
    async (departure, end) => {
      const sessionId = `${end} ${departure}`.replaceAll(" ", "_");
      const loggers = [{ name: "only", end }];
      const exits = departure === "exits";
      const trace = await host.run({ as: "thread", sessionId, calls, loggers, isQuiet: true, exits });

      const tools = worked(trace).filter(({ kind, name }) => kind === "tool" && name !== "sleep");
      const named = Array.from({ length: calls }, (_, n) => `only ${n}`);
      expect(tools.map(({ tool }) => tool?.callId)).toEqual(named);
      expect(tools.map(({ attributes }) => attributes?.late)).toEqual(named);
      expect(
        tools.every(({ status, endTime, interrupted }) => status === "ok" && endTime && !interrupted),
      ).toBe(true);
      const generations = worked(trace).filter(({ kind }) => kind === "generation");
      expect(generations.map(({ name }) => name)).toEqual([0, 1, 2].map((n) => `generation-only step ${n}`));
      expect(repeated(trace)).toEqual([]);
      const isRunning = end === "a running tool";
      const { summary } = trace;
      expect(summary.totalToolCalls).toBe(calls + (isRunning ? 1 : 0));
      expect(summary.totalGenerations).toBe(3);

      const names = interrupted(trace).map(({ name }) => name);
      if (end === "finalizeSync" || (end === "endTrace" && summary.status === "completed")) {
        expect(summary.status).toBe("completed");
        expect(names).toEqual(["generation-only step 2"]);
      } else {
        // Nothing waited for the end: if the end is missing, the thread was killed before it.
        expect(summary.status).toBe("crashed");
        if (end !== "endTrace")
          expect(names.sort()).toEqual(["generation-only step 2", ...(isRunning ? ["sleep"] : [])]);
      }
      if (end === "flushSync") expect(summary.error).toBe("stopped");
      expect(host.files.filter((file) => file.startsWith(sessionId))).toEqual([`${sessionId}.json`]);
    },
  );
});
