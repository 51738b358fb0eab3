/**
 * Two ids with one file name: every call that returns the path of a session, or reads its document, after its end
 * must not return the other session's.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Trace } from "../../src/altimate/trace.js";
import { FileExporter } from "../../src/altimate/trace-file-exporter.js";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { spanOf } from "../support/projection-span.js";

const ids = ["a_b", "a/b", "a:b"];
let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "path-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

const idIn = (path: string | undefined) => JSON.parse(fs.readFileSync(path as string, "utf8")).id;

describe("P7 after the end of a session that shares its file name", () => {
  it("endTrace, finalizeSync, getTracePath and document return its own document", async () => {
    const tracing = createSessionTracing({ dir });
    for (const id of ids) {
      const ended = tracing.tracer(id);
      expect(idIn(await ended.endTrace())).toBe(id);
      expect(idIn(ended.getTracePath())).toBe(id);
      expect((await ended.document())?.id).toBe(id);
      const again = tracing.newTracer();
      again.startTrace(id);
      expect(idIn(again.finalizeSync())).toBe(id);
    }
    await tracing.shutdown();
  });

  it("tracePath of an exporter returns its own document, also where the exporter never had it open", async () => {
    const exporter = new CrashSafeFileSpanExporter({ dir });
    for (const id of ids) exporter.recordEnd(spanOf({ attributes: { "session.id": id } }));
    await exporter.shutdown();
    for (const one of [exporter, new CrashSafeFileSpanExporter({ dir })]) {
      for (const id of ids) expect(idIn(one.tracePath(id))).toBe(id);
      await one.shutdown();
    }
  });

  it("other altimate exporters get its own document", async () => {
    const got: (string | undefined)[] = [];
    const remote = {
      name: "remote",
      async export({ id }: TraceFile) {
        got.push(id);
        return undefined;
      },
    };
    for (const end of ["endTrace", "finalizeSync"] as const) {
      for (const id of ids) {
        const trace = Trace.withExporters([new FileExporter(dir, 0), remote]);
        trace.startTrace(id);
        await trace[end]();
      }
    }
    expect(got).toEqual([...ids, ...ids]);
  });
});
