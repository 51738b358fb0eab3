/** JSON lines through sonic-boom, the writer behind pino. */
import { join } from "node:path";
import { wholeLines } from "../lines.mjs";
import { plainRecord } from "../plain-record.mjs";

const pathIn = (dir) => join(dir, "boom.jsonl");

const boom = (name, title, options) => ({
  name,
  title,
  async open({ dir }) {
    const { default: SonicBoom } = await import("sonic-boom");
    const stream = new SonicBoom({ dest: pathIn(dir), ...options });
    await new Promise((resolve, reject) => stream.once("ready", resolve).once("error", reject));
    return {
      end: (span) => stream.write(`${JSON.stringify(plainRecord(span))}\n`),
      // Its callback runs at once when nothing is buffered and `sync` is set.
      flush: () =>
        new Promise((resolve, reject) => stream.flush((error) => (error ? reject(error) : resolve()))),
      async close() {
        stream.end();
        await new Promise((resolve) => stream.once("close", resolve));
      },
    };
  },
  survivors: ({ dir }) => wholeLines(pathIn(dir)),
});

export default [
  boom("boom-sync", "JSON lines, sonic-boom sync", { sync: true }),
  boom("boom-async", "JSON lines, sonic-boom async", { sync: false }),
];
