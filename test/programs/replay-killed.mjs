// A replay that is killed: exports this many batches, notes the ids of all its spans, and dies in the next batch,
// before or after it answers. Arguments: directory, file for the ids, batches, "before" or "after".
import { appendFileSync } from "node:fs";
import { replayTraces } from "../../build/session.mjs";

const [, , dir, notes, batches, when] = process.argv;
let taken = 0;
const exporter = {
  export(spans, done) {
    const isLast = ++taken > Number(batches);
    if (isLast && when === "before") process.kill(process.pid, "SIGKILL");
    appendFileSync(notes, spans.map((span) => `${span.spanContext().spanId}\n`).join(""));
    if (isLast) process.kill(process.pid, "SIGKILL");
    done({ code: 0 });
  },
  shutdown: async () => {},
};
await replayTraces(dir, exporter, { sessions: "ended" });
