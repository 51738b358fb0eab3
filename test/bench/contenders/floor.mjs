/** The least work that passes a span to the kernel: stringify and one write. */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { wholeLines } from "../lines.mjs";
import { plainRecord } from "../plain-record.mjs";

const pathIn = (dir) => join(dir, "floor.jsonl");

export default {
  name: "floor",
  title: "the floor: stringify + writeSync",
  open({ dir }) {
    const fd = openSync(pathIn(dir), "ax", 0o600);
    return {
      prepare: plainRecord,
      end(record) {
        writeSync(fd, `,${JSON.stringify(record)}\n`);
      },
      async flush() {},
      async close() {
        closeSync(fd);
      },
    };
  },
  survivors: ({ dir }) => wholeLines(pathIn(dir), 1),
};
