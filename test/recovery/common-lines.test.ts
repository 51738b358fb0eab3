import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { runAsync } from "../../src/platform/gensync.js";
import { commonLines } from "../../src/recovery/orphans.js";
import type { LineRange } from "../../src/storage/lines.js";

const dir = fs.mkdtempSync(join(os.tmpdir(), "common-lines-"));
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

/** The number of bytes that two files share, each after a head of its own. */
async function measure(texts: readonly [string, string], heads: readonly [string, string]): Promise<number> {
  const [a, b] = texts.map((text, index) => {
    const path = join(dir, String(index));
    fs.writeFileSync(path, heads[index] + text);
    const from = Buffer.byteLength(heads[index] as string);
    return { fd: fs.openSync(path, "r"), from, to: from + Buffer.byteLength(text) };
  }) as [LineRange, LineRange];
  try {
    return await runAsync(nodeFileSystem, commonLines(a, b));
  } finally {
    for (const { fd } of [a, b]) fs.closeSync(fd);
  }
}

const line = fc.constantFrom("a", "b", "ab", "ü", "");
const lines = fc.array(line, { maxLength: 5 }).map((all) => all.map((one) => `${one}\n`).join(""));

test("P7 counts the whole lines that two files share at the start", async () => {
  await fc.assert(
    fc.asyncProperty(lines, lines, lines, line, async (common, one, other, torn) => {
      const texts = [common + one + torn, common + other] as const;
      const [a = [], b = []] = texts.map((text) => text.split("\n"));
      let alike = 0;
      // The bytes after the last newline are no whole line.
      for (let i = 0; i < Math.min(a.length, b.length) - 1 && a[i] === b[i]; i++)
        alike += Buffer.byteLength(`${a[i]}\n`);
      expect(await measure(texts, ["head\n", "another head\n"])).toBe(alike);
    }),
    { numRuns: 300 },
  );
});

test.each([
  ["at the end of a piece that is read at once", 1 << 20],
  ["just after it", (1 << 20) + 1],
  ["far behind it", 3_000_000],
])("P7 finds the first byte that differs %s", async (_, at) => {
  const whole = `${"x".repeat(99)}\n`.repeat(40_000);
  const changed = `${whole.slice(0, at - 1)}!${whole.slice(at)}`;
  expect(await measure([whole, changed], ["", "h\n"])).toBe(Math.floor((at - 1) / 100) * 100);
  expect(await measure([whole, whole.slice(0, at)], ["", ""])).toBe(Math.floor(at / 100) * 100);
});
