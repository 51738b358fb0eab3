/** File exporters share a processor only when all their options are equal: a host makes an exporter for every session. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import {
  FileExporter,
  type FileExporterOptions,
  recordingOf,
} from "../../src/altimate/trace-file-exporter.js";

const dir = mkdtempSync(join(tmpdir(), "recording-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const processorOf = (options: FileExporterOptions, maxFiles?: number) =>
  recordingOf(new FileExporter(dir, maxFiles, options))?.processor();

const redact = (value: unknown) => value;
const options: Required<FileExporterOptions> = {
  redact,
  maxFileAgeMillis: 1_000_000,
  maxTotalBytes: 2_000_000,
  maxValueBytes: 3_000_000,
  maxSpanBytes: 4_000_000,
};

describe("the processor of a file exporter", () => {
  test("is shared by exporters of equal options", () => {
    expect(processorOf(options)).toBeDefined();
    expect(processorOf({ ...options })).toBe(processorOf(options));
  });

  test.each(Object.keys(options) as (keyof FileExporterOptions)[])("differs when %s differs", (name) => {
    const { [name]: _, ...others } = options;
    expect(processorOf(others)).not.toBe(processorOf(options));
  });

  test("differs when maxFiles differs", () => {
    expect(processorOf(options, 7)).not.toBe(processorOf(options, 8));
  });
});
