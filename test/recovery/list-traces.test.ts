import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { listTraces } from "../../src/reader.js";
import { documentOf } from "../support/trace-documents.js";

const dir = mkdtempSync(join(tmpdir(), "list-traces-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const names = Array.from({ length: 30 }, (_, n) => `ses_${n}`);
for (const name of names) writeFileSync(join(dir, `${name}.json`), JSON.stringify(documentOf(name)));

test("a page has the documents that were written last, and of one time in the order of their names", async () => {
  const writtenAt = fc.array(fc.integer({ min: 1, max: 5 }), {
    minLength: names.length,
    maxLength: names.length,
  });
  await fc.assert(
    fc.asyncProperty(writtenAt, fc.nat(35), fc.integer({ min: 1, max: 35 }), async (times, offset, limit) => {
      const dated = names.map((name, n) => ({ name, time: 1_700_000_000 + (times[n] as number) }));
      for (const { name, time } of dated) utimesSync(join(dir, `${name}.json`), time, time);
      const expected = dated.sort((a, b) => b.time - a.time || (a.name < b.name ? -1 : 1));
      const { traces, total } = await listTraces(dir, { offset, limit });
      expect(traces.map(({ id }) => id)).toEqual(
        expected.slice(offset, offset + limit).map(({ name }) => name),
      );
      expect(total).toBe(names.length);
    }),
    { numRuns: 30 },
  );
});
