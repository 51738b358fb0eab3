import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { LineSelection } from "../../src/format/cap.js";
import { elidedTotalsKey, keepLines, selectLines } from "../../src/format/cap.js";
import { Totals } from "../../src/format/totals.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { FaultyFileSystem } from "../support/faulty-file-system.js";
import { IdleClock } from "../support/idle-clock.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { PausedFileSystem } from "../support/paused-file-system.js";
import { spanOf } from "../support/projection-span.js";
import { spansOf } from "../support/recorded-session.js";

const session = { id: "ses_cap", rootSpanId: "root" };
let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "cap-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

describe("cap", () => {
  it("P8 keeps the first 30 % and the last, and never more than the cap allows", () => {
    const caps = fc.integer({ min: 10, max: 10_000 });
    fc.assert(
      fc.property(
        fc.nat({ max: 50_000 }),
        fc.integer({ min: 1, max: 60 }),
        caps,
        (lines, others, maxSpans) => {
          const selection = selectLines({ lines, hasMarker: false, others }, maxSpans, session);
          if (!selection) {
            // All fit, or a marker would replace fewer than two spans.
            expect(lines + others).toBeLessThanOrEqual(
              Math.max(maxSpans, others + 2, Math.floor(0.3 * maxSpans) + others + 3),
            );
            return;
          }
          const { head, tail } = selection;
          expect(head).toBe(Math.floor(0.3 * maxSpans));
          expect(tail - head).toBeGreaterThanOrEqual(2);
          expect(tail).toBeLessThan(lines);
          const kept = head + 1 + (lines - tail) + others;
          expect(kept).toBeLessThanOrEqual(Math.max(maxSpans, head + 2 + others));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("P8 D7 replaces an existing marker by one for all spans so far", () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 50_000 }),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 10, max: 10_000 }),
        fc.integer({ min: 2, max: 50_000 }),
        (lines, others, maxSpans, before) => {
          const load = { lines, hasMarker: true, others };
          for (const selection of [selectLines(load, maxSpans, session), keepLines(load, session)]) {
            const { head, tail, marker } = selection as LineSelection;
            expect(tail).toBeGreaterThanOrEqual(head);
            expect(tail).toBeLessThanOrEqual(Math.max(lines, head));
            const elided = new Totals();
            elided.merge({ spans: before + tail - head });
            expect(marker(elided, { spanId: "last" }).attributes).toMatchObject({
              totalSpans: before + lines + others,
            });
          }
          const { head, tail } = selectLines(load, maxSpans, session) as LineSelection;
          const kept = lines - (tail - head) + 1 + others;
          expect(kept).toBeLessThanOrEqual(Math.max(maxSpans, head + 2 + others));
        },
      ),
    );
    expect(keepLines({ lines: 9, hasMarker: false, others: 1 }, session)).toBeUndefined();
  });

  it("P8 the marker names how many spans it replaces, and how many there were in total", () => {
    const selection = selectLines({ lines: 100, hasMarker: false, others: 1 }, 20, session);
    const elided = new Totals();
    elided.merge({ spans: 81 });
    expect(selection?.marker(elided, { spanId: "last" })).toMatchObject({
      parentSpanId: "root",
      name: "81 spans elided",
      attributes: { elided: 81, totalSpans: 81 + 6 + 12 + 1, [elidedTotalsKey]: { spans: 81 } },
    });
  });
});

function traced(n: number, ended: boolean) {
  return spanOf({
    name: `step ${n}`,
    spanContext: () => ({
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: (0x1000 + n).toString(16).padStart(16, "0"),
      traceFlags: 1,
    }),
    endTime: ended ? [1_750_000_001, 0] : [0, 0],
    ended,
    attributes: {
      "session.id": "ses_cap",
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": "bash",
    },
  });
}

const document = (): TraceFile => JSON.parse(fs.readFileSync(join(dir, "ses_cap.json"), "utf8"));

describe("a capped session", () => {
  it("P8 continues counting through caps, a death and a resume, and reports no elided span as interrupted", async () => {
    let n = 0;
    for (let life = 0; life < 3; life++) {
      const liveness = new MortalLiveness();
      const fileSystem = new FaultyFileSystem();
      const exporter = new CrashSafeFileSpanExporter(
        { dir, maxSpans: 20 },
        { fileSystem, clock: new IdleClock(), liveness },
      );
      for (const last = n + 70; n < last; n++) {
        exporter.recordStart(traced(n, false));
        exporter.recordEnd(traced(n, true));
        if (n % 10 === 9) await exporter.forceFlush();
        if (n % 10 === 9) expect(document().spans.length).toBeLessThanOrEqual(20);
      }
      expect(document().summary).toMatchObject({ totalToolCalls: n, idle: true });
      // Dies without an end.
      liveness.killAll();
      const { failures, sessions } = await recoverDirectory(
        { fileSystem: nodeFileSystem, liveness, clock: systemClock },
        dir,
      );
      expect(failures).toEqual([]);
      expect(sessions.map(({ interrupted }) => interrupted)).toEqual([[]]);
      const recovered = document();
      expect(recovered.summary).toMatchObject({ totalToolCalls: n, status: "completed" });
      expect([...spansOf(recovered).values()].filter(({ interrupted }) => interrupted)).toEqual([]);
      fileSystem.closeAll();
    }
  });

  it.each(["forceFlush", "endSession"] as const)(
    "P7 D7 counts each span once when a peer writer joins at any call of %s",
    async (operation) => {
      const liveness = new MortalLiveness();
      const start = () => {
        const fileSystem = new PausedFileSystem();
        const ports = { fileSystem, clock: new IdleClock(), liveness };
        return { fileSystem, exporter: new CrashSafeFileSpanExporter({ dir, maxSpans: 20 }, ports) };
      };
      let isHeld = true;
      let joined = 0;
      for (let call = 1; isHeld; call++) {
        fs.rmSync(dir, { recursive: true, force: true });
        const [one, two] = [start(), start()];
        for (let n = 0; n < 15; n++) one.exporter.recordEnd(traced(n, true));
        await one.exporter.forceFlush();
        for (let n = 15; n < 50; n++) one.exporter.recordEnd(traced(n, true));
        one.fileSystem.mark();
        const hold = one.fileSystem.holdNumber(call, "issued");
        const done =
          operation === "forceFlush" ? one.exporter.forceFlush() : one.exporter.endSession("ses_cap");
        isHeld = await Promise.race([hold.reached.then(() => true), done.then(() => false)]);
        for (let n = 50; n < 53; n++) two.exporter.recordEnd(traced(n, true));
        if (isHeld) joined++;
        hold.release();
        await done;
        await two.exporter.forceFlush();
        await one.exporter.shutdown();
        await two.exporter.shutdown();
        const { spans, summary } = document();
        expect(summary).toMatchObject({ totalToolCalls: 53, status: "completed" });
        const elided = spans.find(({ attributes }) => attributes?.elided !== undefined);
        if (elided)
          expect(elided.attributes).toMatchObject({ elided: 54 - (spans.length - 1), totalSpans: 54 });
        else expect(spans).toHaveLength(54);
        expect(fs.readdirSync(dir)).toEqual(["ses_cap.json"]);
      }
      expect(joined).toBeGreaterThan(5);
    },
  );

  it("P7 D7 leaves out no spans while spans of a dead writer wait for recovery", async () => {
    const liveness = new MortalLiveness();
    const start = () => {
      const fileSystem = new FaultyFileSystem();
      const ports = { fileSystem, clock: new IdleClock(), liveness };
      return { fileSystem, exporter: new CrashSafeFileSpanExporter({ dir, maxSpans: 20 }, ports) };
    };
    const dead = start();
    for (let n = 0; n < 3; n++) dead.exporter.recordEnd(traced(n, true));
    liveness.killAll();
    dead.fileSystem.closeAll();
    const { exporter } = start();
    for (let n = 3; n < 53; n++) exporter.recordEnd(traced(n, true));
    await exporter.shutdown();
    expect(document().spans).toHaveLength(51);
    const recovered = await recoverDirectory(
      { fileSystem: nodeFileSystem, liveness, clock: systemClock },
      dir,
    );
    expect(recovered.failures).toEqual([]);
    expect(document().summary).toMatchObject({ totalToolCalls: 53 });
    expect(document().spans).toHaveLength(54);
  });
});
