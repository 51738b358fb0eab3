/** What the altimate file exporter redacts and cuts, and what it does where redaction fails. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FileExporter, type FileExporterOptions, Trace } from "../../src/altimate.js";
import { documentOf, rootSpan, toolSpan } from "../support/trace-documents.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "altimate-redaction-"));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(dir, { recursive: true, force: true });
});

const redact = (value: unknown): unknown =>
  value === undefined ? value : JSON.parse(JSON.stringify(value).replaceAll("secret", "[gone]"));

const bytes = (id: string) => readFileSync(join(dir, `${id}.json`), "utf8");

function log(trace: Trace, id: string): void {
  trace.startTrace(id, { title: "a secret", prompt: "a secret" });
  trace.logToolCall({
    tool: "look",
    callID: "c",
    state: { status: "completed", input: { key: "secret" }, output: "secret" },
  });
  trace.setSpanAttributes({ long: "x".repeat(5_000) }, "session");
}

describe("P9 a file exporter with a redactor", () => {
  const options = { redact, maxValueBytes: 1_000 };

  test("keeps what is logged from its file, also with another limit of files, and sends other exporters the redacted content", async () => {
    const got: string[] = [];
    const other = { name: "other", export: async (trace: unknown) => void got.push(JSON.stringify(trace)) };
    const exporters = [new FileExporter(dir, 10, options), other as never];
    const trace = Trace.withExporters(exporters, { maxFiles: 5 });
    log(trace, "s");
    expect(bytes("s")).toContain("a [gone]");
    await trace.endTrace("a secret");
    for (const written of [bytes("s"), ...got]) {
      expect(written).not.toContain("secret");
      expect(written).toMatch(/x…\[\d+ bytes cut\]/);
    }
    expect(got).toHaveLength(1);
  });

  test("uses its own redactor, and not that of another exporter on the same directory", async () => {
    const other = (value: unknown) => (typeof value === "string" ? "[other]" : value);
    const traces = [
      new FileExporter(dir, 0),
      new FileExporter(dir, 0, { redact: other }),
      new FileExporter(dir, 0, options),
    ].map((exporter) => Trace.withExporters([exporter]));
    for (const [i, trace] of traces.entries()) {
      log(trace, `s${i}`);
      await trace.endTrace();
    }
    expect(bytes("s0")).toContain("a secret");
    expect(bytes("s1")).toContain("[other]");
    expect(bytes("s2")).toContain("a [gone]");
  });

  test("redacts the whole documents it gets, and changes none of them", async () => {
    const loops = [{ tool: "secret", count: 3, description: "secret called 3 times" }];
    const document = documentOf("s", {
      spans: [rootSpan(), toolSpan(1, { name: "secret", output: { deep: ["secret"] } })],
      metadata: { title: "secret" },
    });
    Object.assign(document.summary, {
      error: "secret",
      narrative: "secret",
      loops,
      topTools: [{ name: "secret", count: 1, totalDuration: 1 }],
    });
    const before = structuredClone(document);
    expect(await new FileExporter(dir, 0, options).export(document)).toBe(join(dir, "s.json"));
    expect(document).toEqual(before);
    expect(bytes("s")).not.toContain("secret");
    expect(bytes("s").match(/\[gone\]/g)?.length).toBeGreaterThan(7);
  });

  test("redacts members that documents of this package do not have, at every level", async () => {
    const secret = { a: ["secret"], b: "secret" };
    const document = documentOf("s", {
      spans: [
        rootSpan({ mine: secret } as never),
        toolSpan(1, { tool: { mine: "secret" }, model: { mine: secret }, tokens: { x: "secret" } } as never),
        toolSpan(2, { status: secret, attributes: "secret", startTime: "secret" } as never),
        "secret" as never,
        secret as never,
      ],
      metadata: { mine: secret } as never,
    });
    Object.assign(document, { mine: secret, note: "secret", endedAt: secret });
    Object.assign(document.summary, { mine: secret, loops: [secret], topTools: ["secret"], tokens: secret });
    const before = structuredClone(document);
    const fields = new Set<string>();
    const watched = (value: unknown, field: string) => {
      fields.add(field);
      return redact(value);
    };
    const path = await new FileExporter(dir, 0, { ...options, redact: watched }).export(document);
    expect(path).toBe(join(dir, "s.json"));
    expect(document).toEqual(before);
    const expected = JSON.parse(JSON.stringify(before).replaceAll("secret", "[gone]"));
    expect(JSON.parse(bytes("s"))).toEqual(expected);
    expect([...fields]).toEqual(
      expect.arrayContaining(["mine", "note", "summary.mine", "metadata.mine", "tool.mine", "model.mine"]),
    );
    for (const kept of ["spanId", "sessionId", "id", "version", "kind"]) expect(fields).not.toContain(kept);
  });

  test.each(["spans", "metadata", "summary"])("redacts %s of another shape", async (key) => {
    for (const value of ["a secret", [{ a: "secret" }], { a: "secret" }]) {
      const document = { ...documentOf("s"), [key]: value };
      expect(await new FileExporter(dir, 0, options).export(document as never)).toBe(join(dir, "s.json"));
      expect(bytes("s")).not.toContain("secret");
      expect(bytes("s")).toContain("[gone]");
    }
  });

  test("writes nothing when the redactor is invalid, and never throws", async () => {
    const exporter = new FileExporter(dir, 0, { redact: "secret" } as never);
    const trace = Trace.withExporters([exporter]);
    log(trace, "s");
    await trace.endTrace();
    expect(await exporter.export(documentOf("s"))).toBeUndefined();
    exporter.pruneSync();
    expect(existsSync(dir) ? readdirSync(dir) : []).toEqual([]);
  });

  test.for<[string, FileExporterOptions]>([
    ["age", { maxFileAgeMillis: 60_000 }],
    ["bytes", { maxTotalBytes: 1_500 }],
  ])("prunes by %s as well", async ([, limits]) => {
    const exporter = new FileExporter(dir, 0);
    for (const id of ["a", "b"]) await exporter.export(documentOf(id));
    utimesSync(join(dir, "a.json"), 1, 1);
    new FileExporter(dir, 0, limits).pruneSync();
    expect(readdirSync(dir)).toEqual(["b.json"]);
  });
});
