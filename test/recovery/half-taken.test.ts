/** A recovery that failed between its two renames has taken one file of a dead owner. */
import { mkdtempSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { recoverDirectory } from "../../src/recovery/recover-directory.js";
import { MortalLiveness } from "../support/mortal-liveness.js";
import { layOut, recordSession } from "../support/recorded-session.js";

const session = await recordSession({ ended: 8, open: 2 });
const { name, token, open, live, published } = session;
const taker = token.replace(/-[^-]+$/, "-takerrrr-recovery");

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "half-taken-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const tokens = { open: token, live: token };

test.each([
  ["the log", { ...tokens, open: taker }, undefined],
  ["the log, beside a document", { ...tokens, open: taker }, published],
  ["the journal", { ...tokens, live: taker }, undefined],
  ["the journal, beside a document", { ...tokens, live: taker }, published],
])("P2 P14 with one file taken, %s, the session that was under way has crashed", async (_, owners, json) => {
  layOut(dir, { name, token: owners.open }, { open, ...(json && { json }) });
  layOut(dir, { name, token: owners.live }, { live });
  // The log was written after the last record of the journal: it is no writer that went on.
  const before = Date.now() / 1000 - 60;
  utimesSync(join(dir, `${name}.json.${owners.live}.live`), before, before);
  const ports = { fileSystem: nodeFileSystem, liveness: new MortalLiveness(), clock: systemClock };
  await recoverDirectory(ports, dir);
  const { summary, spans }: TraceFile = JSON.parse(readFileSync(join(dir, `${name}.json`), "utf8"));
  expect(summary.status).toBe("crashed");
  expect(spans.filter(({ interrupted }) => interrupted)).toHaveLength(3);
});
