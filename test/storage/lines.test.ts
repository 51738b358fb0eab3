import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FileCalls, FileSystem } from "../../src/platform/file-system.js";
import { runSync } from "../../src/platform/gensync.js";
import { lastLine, readRange, scanLines, writeAll } from "../../src/storage/lines.js";

/** A file in memory that reads and writes as many bytes at a time as the test wants. */
class ReluctantFile {
  bytes: Buffer;
  calls = 0;
  readonly fileSystem: FileSystem;

  constructor(bytes: Buffer, most: () => number) {
    this.bytes = bytes;
    const calls: Partial<FileCalls> = {
      read: (_fd, into, offset, length, position) => {
        this.calls++;
        const got = Math.max(0, Math.min(length, most(), this.bytes.length - position));
        this.bytes.copy(into, offset, position, position + got);
        return got;
      },
      write: (_fd, from, offset, length) => {
        const taken = Math.min(length, most());
        this.bytes = Buffer.concat([this.bytes, from.subarray(offset, offset + taken)]);
        return taken;
      },
    };
    this.fileSystem = { sync: calls as FileCalls, async: {} as never };
  }
}

function scan(bytes: Buffer, from: number, to: number, most: () => number) {
  const file = new ReluctantFile(bytes, most);
  const lines: { text: string; offset: number }[] = [];
  const end = runSync(
    file.fileSystem,
    scanLines(0, from, to, (line, offset) => lines.push({ text: line.toString("latin1"), offset })),
  );
  return { lines, end };
}

/** The expected result, by the simplest means. */
function split(bytes: Buffer, from: number, to: number) {
  const lines: { text: string; offset: number }[] = [];
  let start = from;
  for (let at = from; at < Math.min(to, bytes.length); at++) {
    if (bytes[at] !== 0x0a) continue;
    lines.push({ text: bytes.subarray(start, at).toString("latin1"), offset: start });
    start = at + 1;
  }
  return { lines, end: start };
}

describe("line scan", () => {
  it("P6 finds the last whole line, however long the line and the rest are", () => {
    const length = fc.constantFrom(0, 1, 50, 100_000, (1 << 18) - 1, 1 << 18, 700_000);
    fc.assert(
      fc.property(fc.array(length, { maxLength: 3 }), length, (lengths, torn) => {
        const bytes = Buffer.from(
          `${lengths.map((one) => `${"x".repeat(one)}\n`).join("")}${"\0".repeat(torn)}`,
        );
        const { lines, end } = split(bytes, 0, bytes.length);
        const file = new ReluctantFile(bytes, () => 1 << 20);
        const { line, from, to } = runSync(file.fileSystem, lastLine(0, bytes.length));
        expect(to).toBe(end);
        expect(from).toBe(lines.at(-1)?.offset ?? 0);
        // Compared without the matcher, which needs seconds for this much text.
        expect(line.toString("latin1") === (lines.at(-1)?.text ?? "")).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it("P6 finds the same lines wherever the chunks end", () => {
    const bytes = fc.array(fc.constantFrom(0x0a, 0x0a, 0x61, 0x00, 0xff, 0xc5), { maxLength: 60 });
    fc.assert(
      fc.property(
        bytes,
        fc.nat({ max: 60 }),
        fc.nat({ max: 70 }),
        fc.integer({ min: 1, max: 9 }),
        (given, a, b, most) => {
          const file = Buffer.from(given);
          const [from, to] = [Math.min(a, file.length), b];
          expect(scan(file, from, to, () => most)).toEqual(split(file, from, to));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("P6 reads lines longer than its buffer, with boundaries at every byte around its size", () => {
    const buffer = 1 << 18;
    for (const length of [buffer - 2, buffer - 1, buffer, buffer + 1, 2 * buffer, 5 * buffer + 3]) {
      const bytes = Buffer.from(`a\n${"x".repeat(length)}\nb\n\n${"y".repeat(10)}`);
      const { lines, end } = scan(bytes, 0, bytes.length, () => Number.POSITIVE_INFINITY);
      expect(lines.map(({ text }) => text.length)).toEqual([1, length, 1, 0]);
      expect(lines.at(1)?.text).toBe("x".repeat(length));
      expect(end).toBe(bytes.length - 10);
    }
  });

  it("P8 reads a file once, however long its lines", () => {
    const file = new ReluctantFile(Buffer.from(`${"x".repeat(3_000_000)}\n`), () => Number.POSITIVE_INFINITY);
    runSync(
      file.fileSystem,
      scanLines(0, 0, file.bytes.length, () => {}),
    );
    expect(file.calls).toBeLessThan(10);
  });

  it("P6 ends at the end of the file, if the file is shorter than the requested range", () => {
    expect(scan(Buffer.from("a\nb"), 0, 1_000, () => 2)).toEqual({
      lines: [{ text: "a", offset: 0 }],
      end: 2,
    });
    const file = new ReluctantFile(Buffer.from("abc"), () => 1);
    expect(runSync(file.fileSystem, readRange(0, 1, 99)).toString()).toBe("bc");
    expect(runSync(file.fileSystem, readRange(0, 2, 1))).toHaveLength(0);
  });

  it("P6 writes all bytes, in pieces of any size", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 7 }), (bytes, most) => {
        const file = new ReluctantFile(Buffer.alloc(0), () => most);
        runSync(file.fileSystem, writeAll(0, bytes));
        expect(file.bytes.equals(Buffer.from(bytes))).toBe(true);
      }),
    );
  });
});

it("P6 a write that returns 0 bytes again and again throws, and does not loop for ever", () => {
  const room = [3, 3, 1, 0];
  const file = new ReluctantFile(Buffer.alloc(0), () => {
    const taken = room.shift();
    if (taken === undefined) throw new Error("it asks on and on");
    return taken;
  });
  expect(() => runSync(file.fileSystem, writeAll(0, Buffer.from("0123456789")))).toThrow("returned 0 bytes");
  expect(file.bytes.toString()).toBe("0123456");
});
