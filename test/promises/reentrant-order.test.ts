/**
 * Code of the host that calls back into the library, in random order, from random places, and in endless recursion.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { diag, type Span } from "@opentelemetry/api";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import {
  type Action,
  actions,
  cutNextWrite,
  Host,
  histogramOf,
  sessionId,
  withGetter,
} from "../support/reentrant-host.js";
import { occurrences } from "../support/session-stage.js";
import { trials } from "../support/trials.js";

let dir: string;

beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "reentrant-"));
});
afterEach(() => {
  diag.disable();
  fs.rmSync(dir, { recursive: true, force: true });
});

describe("P6 code of the host that calls back in endless recursion", () => {
  it("that records a span for each value it redacts: spans beyond three nested reads are dropped", async () => {
    const host: Host = new Host(dir, {
      redact: (value) => {
        host.record();
        return value;
      },
    });
    host.record();
    const { recorded, lostBy } = host.exporter.stats();
    expect(recorded).toBeGreaterThan(3);
    expect(lostBy.nested).toBeGreaterThan(0);
    expect(recorded + (lostBy.nested ?? 0)).toBe(host.ends);
    await host.processor.shutdown();
    expect(occurrences(host.document()).size).toBe(recorded);
  });

  it("that records a span for each duration: one duration is measured", async () => {
    let durations = 0;
    const host: Host = new Host(dir, {
      selfObsMeterProvider: histogramOf(() => {
        durations++;
        host.record();
      }),
    });
    host.record();
    expect(durations).toBe(1);
    await host.expectAll();
  });

  it("that records a span for each write: spans beyond a few nested writes are dropped", async () => {
    const host = new Host(dir);
    host.record();
    const { write } = nodeFileSystem.sync;
    host.started.clear();
    host.fileSystem.write = (...args) => {
      const written = write(...args);
      host.record();
      return written;
    };
    host.record();
    host.started.clear();
    host.fileSystem.write = write;
    const { recorded, dropped } = host.exporter.stats();
    expect(recorded).toBeGreaterThan(2);
    expect(recorded + dropped).toBe(host.ends);
    expect(host.ends).toBeLessThan(1_000);
    await host.processor.shutdown();
    const found = host.expectSpans(host.document());
    expect(found.size).toBe(recorded);
  });

  it("that records a span for each fault: every span is kept", async () => {
    const host = new Host(dir);
    const again = () => host.record();
    diag.setLogger(
      { error: again, warn: again, info: again, debug() {}, verbose() {} },
      { suppressOverrideMessage: true },
    );
    host.record();
    cutNextWrite(host);
    host.record();
    await host.expectAll();
  });

  it("that fences whenever an open span is read: the session crashes once", async () => {
    const host = new Host(dir);
    withGetter(host.start(), () => host.processor.crash("by the host"));
    host.processor.crash("fenced");
    await host.processor.shutdown();
    const document = host.document();
    expect(occurrences(document).size).toBe(1);
    expect(document.summary.status).toBe("crashed");
    expect(fs.readdirSync(dir)).toEqual([`${sessionId}.json`]);
  });
});

describe("P6 code of the host that runs inside a write, as instrumentation of `fs` does", () => {
  it("may record a span in a write that is cut short, and each line has its own bytes", async () => {
    const host = new Host(dir);
    host.record();
    const outer = host.start();
    const { write } = nodeFileSystem.sync;
    const { fileSystem } = host;
    fileSystem.write = (fd, bytes, offset, length) => {
      fileSystem.write = write;
      const written = write(fd, bytes, offset, Math.ceil(length / 2));
      host.record();
      return written;
    };
    host.end(outer);
    await host.expectAll();
  });

  it("may record a span in a write that is cut short and cannot continue, and the rest of the line comes first", async () => {
    const host = new Host(dir);
    host.record();
    const outer = host.start();
    const { write } = nodeFileSystem.sync;
    const { fileSystem } = host;
    fileSystem.write = (fd, bytes, offset, length) => {
      cutNextWrite(host);
      const written = fileSystem.write(fd, bytes, offset, length);
      const { write: refused } = fileSystem;
      fileSystem.write = write;
      host.record();
      fileSystem.write = refused;
      return written;
    };
    host.end(outer);
    await host.expectAll();
  });
});

const step = fc.record({
  at: fc.constantFrom("logger", "redactor", "toJSON", "sessionId", "getter", "none"),
  action: fc.constantFrom<(Action | "end the open span" | "nested record")[]>(
    ...actions.slice(0, 3),
    "record a span",
    "end the open span",
    "nested record",
    "crash",
    "shutdown",
  ),
  isCut: fc.boolean(),
  outer: fc.constantFrom("start", "end", "record", "flush"),
});

describe("P6 code of the host in any order", () => {
  it("P6 every span is in the document once, and is counted once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const own = fs.mkdtempSync(join(dir, "trial-"));
        let at: string = "none";
        const calledAt = (place: string) => {
          if (place === at) host.called();
        };
        const host: Host = new Host(own, {
          sessionId: () => {
            calledAt("sessionId");
            return sessionId;
          },
          redact: (value, field) => {
            if (field !== "attributes.text") return value;
            calledAt("redactor");
            return {
              toJSON: () => {
                calledAt("toJSON");
                return value;
              },
            };
          },
        });
        const log = () => calledAt("logger");
        diag.setLogger(
          { error: log, warn: log, info: log, debug() {}, verbose() {} },
          { suppressOverrideMessage: true },
        );
        host.record();
        const open: Span[] = [];
        const start = () => open.push(withGetter(host.start(), () => calledAt("getter")));
        const endOne = () => {
          const span = open.shift();
          if (span) host.end(span);
        };
        for (const { at: place, action, isCut, outer } of steps) {
          at = place;
          host.plan.length = 0;
          host.plan.push(() => {
            if (action === "end the open span") endOne();
            else if (action === "nested record") {
              host.plan.push(() => host.record());
              host.record();
            } else host.act(action);
          });
          if (isCut) cutNextWrite(host);
          if (outer === "start") start();
          else if (outer === "end") endOne();
          else if (outer === "record") host.record();
          else await host.processor.forceFlush().catch(() => {});
        }
        host.plan.length = 0;
        at = "none";
        for (const span of open) host.end(span);
        await host.expectAll();
        fs.rmSync(own, { recursive: true, force: true });
      }),
      { numRuns: trials(60, 2_000) },
    );
  });
});
