/** A session that is read again and again: each reading is the one that a new reader would have, of the new bytes only. */
import fs, { appendFileSync, readdirSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { findSessions } from "../../src/cli/session-catalog.js";
import { FollowedTrace, readTrace } from "../../src/recovery/read-trace.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { emptyDirectory } from "../support/command-stage.js";
import { followedSession } from "../support/followed-session.js";

/** The bytes of the files that are read while `run` runs. */
async function bytesReadBy(run: () => Promise<unknown>): Promise<number> {
  let bytes = 0;
  const { read } = fs;
  onTestFinished(() => void Object.assign(fs, { read }));
  Object.assign(fs, {
    read: Object.assign(
      (...args: unknown[]) => {
        const done = args.pop() as (error: unknown, count: number, buffer: unknown) => void;
        return (read as (...all: unknown[]) => void)(
          ...args,
          (error: unknown, count = 0, buffer?: unknown) => {
            bytes += count;
            done(error, count, buffer);
          },
        );
      },
      { __promisify__: read.__promisify__ },
    ),
  });
  try {
    await run();
  } finally {
    Object.assign(fs, { read });
  }
  return bytes;
}

/** A session of this process, with a reader that follows it. */
function followed() {
  const dir = emptyDirectory();
  const tracing = createSessionTracing({ dir });
  onTestFinished(() => tracing.shutdown());
  const tracer = tracing.tracer("ses_1");
  let calls = 0;
  const call = (output: string, tool = "bash") => {
    const time = { start: 1_000 * ++calls, end: 1_000 * calls + 10 };
    const input = { command: calls % 5 === 0 ? "again" : `run ${calls}` };
    tracer.logToolCall({ tool, callID: `c${calls}`, state: { status: "completed", input, output, time } });
  };
  const trace = new FollowedTrace((span) => span);
  const found = () => {
    const [session] = findSessions(dir);
    if (!session) throw new Error("there is no session");
    return session;
  };
  return {
    dir,
    tracing,
    tracer,
    call,
    found,
    /** What the follower reads, and what a new reader does; again while the writer changes its files in between. */
    async both() {
      for (;;) {
        const { path } = found();
        const before = await readTrace(path);
        const seen = await trace.read(path, found());
        const anew = await readTrace(path);
        if (isDeepStrictEqual(before, anew)) return [seen, anew] as const;
      }
    },
  };
}

test("P14 each reading is that of a new reader: while it grows, is published, has open spans and loops, ends and is resumed", async () => {
  const { tracer, call, both, tracing, dir } = followed();
  const expectAlike = async () => {
    const [seen, anew] = await both();
    expect(seen).toEqual(anew);
  };
  tracer.logUserMessage("begin");
  for (let round = 0; round < 12; round++) {
    for (let n = 0; n < 7; n++) call(`${round} ${n}`, n % 2 ? "bash" : "read");
    if (round % 3 === 1) tracer.logStepStart({ id: `s${round}` });
    await expectAlike();
    if (round % 3 === 2) {
      const tokens = { input: 1, output: 2, reasoning: 0, cache: { read: 0, write: 0 } };
      tracer.logStepFinish({ id: `s${round - 1}`, reason: "stop", cost: 0.5, tokens });
    }
    if (round % 4 === 0) await tracer.flush();
    await expectAlike();
  }
  // Another writer of the session, then its end, and that of the session.
  const peers = createSessionTracing({ dir });
  const peer = peers.tracer("ses_1");
  peer.logUserMessage("from another one");
  await expectAlike();
  call("beside");
  await peers.shutdown();
  await expectAlike();
  call("after");
  await expectAlike();
  await tracer.endTrace();
  await expectAlike();
  tracer.startTrace("ses_1", {});
  call("resumed");
  await expectAlike();
  await tracing.shutdown();
  await expectAlike();
});

test("P7 a reading takes the new lines of a long session only, also when its document was published meanwhile", async () => {
  const dir = emptyDirectory();
  const { step } = await followedSession(dir);
  await step("long");
  await step("flush");
  let given = 0;
  const trace = new FollowedTrace((span) => {
    given++;
    return span;
  });
  const read = async () => {
    const [session] = findSessions(dir);
    if (!session) throw new Error("there is no session");
    return trace.read(session.path, session);
  };
  // A log, and a document that begins like the log.
  expect(await bytesReadBy(read)).toBeGreaterThan(6_000_000);
  const before = given;
  for (let look = 0; look < 6; look++) {
    await step("call");
    if (look % 2 === 1) await step("flush");
    // The end of the log, the outlines of both files, and the journal: bounded, however long the session is.
    expect(await bytesReadBy(read)).toBeLessThan(3_000_000);
  }
  // Each line once, and at each look what has none, such as the session span.
  expect(given - before).toBeLessThan(6 * 8);
  expect((await read()).trace.spans).toHaveLength(407);
});

test("P7 a log that is not what it was is read from its beginning", async () => {
  const { call, both, found, dir, tracing } = followed();
  for (let n = 0; n < 20; n++) call("one");
  await both();
  const log = readdirSync(dir).find((name) => name.endsWith(".open"));
  // Another process adds a line that is no span.
  appendFileSync(`${dir}/${log}`, ',{"spanId": broken\n');
  call("two");
  for (let look = 0; look < 2; look++) {
    const [seen, anew] = await both();
    expect(seen).toEqual(anew);
    expect(seen.damage.corruptLines).toBe(1);
  }
  expect(found().tokens).toHaveLength(1);
  await tracing.shutdown();
});

test("P8 what a reader changes in a span stays changed, and the totals count the span as it was recorded", async () => {
  const { dir, call, tracing } = followed();
  const trace = new FollowedTrace(({ output: _, ...rest }) => rest);
  for (let n = 0; n < 3; n++) {
    call("secret");
    const [session] = findSessions(dir);
    if (!session) throw new Error("there is no session");
    const { trace: seen } = await trace.read(session.path, session);
    expect(JSON.stringify(seen.spans)).not.toContain("secret");
    expect(seen.summary.totalToolCalls).toBe(n + 1);
  }
  await tracing.shutdown();
});

test("D7 a call that the document has and the log gets a line of makes no loop with itself", async () => {
  const dir = emptyDirectory();
  const tracing = createSessionTracing({ dir });
  onTestFinished(() => tracing.shutdown());
  const tracer = tracing.tracer("ses_1");
  for (const [callID, command] of ["same", "same", "other"].entries()) {
    // The last call has no line yet: it may get attributes.
    if (command === "other") await tracer.flush();
    const state = { status: "completed", input: { command }, output: "" } as const;
    tracer.logToolCall({ tool: "bash", callID: String(callID), state });
  }
  const { trace } = await readTrace(`${dir}/ses_1.json`);
  expect(trace.summary).toMatchObject({ totalToolCalls: 3 });
  expect(trace.summary.loops).toBeUndefined();
});
