/** One JSON line per span, as people write it by hand. */
import { appendFileSync, createWriteStream } from "node:fs";
import { join } from "node:path";
import { wholeLines } from "../lines.mjs";
import { plainRecord } from "../plain-record.mjs";
import { openStock } from "../stock.mjs";

const pathIn = (dir) => join(dir, "spans.jsonl");
const survivors = ({ dir }) => wholeLines(pathIn(dir));

export default [
  {
    name: "append",
    title: "JSON lines, appendFileSync",
    open: ({ dir }) => ({
      end: (span) => appendFileSync(pathIn(dir), `${JSON.stringify(plainRecord(span))}\n`, { mode: 0o600 }),
      flush: async () => {},
    }),
    survivors,
  },
  {
    name: "stream",
    title: "JSON lines, write stream, stock batches",
    open({ dir }) {
      const stream = createWriteStream(pathIn(dir), { flags: "a", mode: 0o600 });
      return openStock((spans, done) => {
        const lines = spans.map((span) => `${JSON.stringify(plainRecord(span))}\n`).join("");
        stream.write(lines, (error) => done({ code: error ? 1 : 0, error }));
      });
    },
    survivors,
  },
];
