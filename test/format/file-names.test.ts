import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  appendLogPath,
  journalPath,
  lockPath,
  nameCandidates,
  parseEntry,
  replayedPath,
  safeId,
  sessionSpanId,
  tempPath,
} from "../../src/format/file-names.js";
import { newRecoveryToken } from "../../src/platform/liveness.js";
import { trials } from "../support/trials.js";

const runs = { numRuns: trials(2_000, 100_000) };
/** Any string, and strings of the characters that are hard on file names. */
const anyId = fc.oneof(
  fc.string({ unit: "binary", maxLength: 400 }),
  fc.string({ unit: fc.constantFrom(..."aA_/\\.: -\n\0\"'漢é😀\ud800\udc00"), maxLength: 8 }),
  fc.stringMatching(/^(con|NUL|com1|Lpt9|aux)[ .]?$/),
);
const token = "1a2b-1a2c-3d4e5-0k3f9x1q-00zz00zz";
const recovery = newRecoveryToken({ newToken: () => token, verdict: () => "alive" });

describe("P7 file names of sessions", () => {
  it.each([
    ["ses_1", "ses_1"],
    ["0197f3d2-8c1e-7b53-a1c9-5d2c1f0e9b7a", "0197f3d2-8c1e-7b53-a1c9-5d2c1f0e9b7a"],
    ["a/b", "a_b"],
    ["a\\b.c:d", "a_b_c_d"],
    ["__proto__", "__proto__"],
    ["漢字", "漢字"],
    ["", "unknown"],
    ["..", "__"],
  ])("P7 %j has the plain name %j", (id, name) => {
    expect(nameCandidates(id)[0]).toBe(name);
  });

  it.each([
    ["a control character", "a\nb", /^a_b-[0-9a-f]{8}$/],
    ["NUL", "a\0b", /^a_b-[0-9a-f]{8}$/],
    ["a device", "CON", /^CON-[0-9a-f]{8}$/],
    ["another device", "com1", /^com1-[0-9a-f]{8}$/],
    ["a trailing space", "a ", /^a -[0-9a-f]{8}$/],
    ["a lone surrogate", "a\ud800", /^a\ufffd-[0-9a-f]{8}$/],
    ["too many bytes", "漢".repeat(41), /^漢{18}-[0-9a-f]{8}$/],
    ["300 characters", "x".repeat(300), /^x{55}-[0-9a-f]{8}$/],
  ])("P7 an id with %s has a hashed name", (_, id, name) => {
    expect(nameCandidates(id)[0]).toMatch(name);
  });

  it("P7 different ids never share all their names", () => {
    fc.assert(
      fc.property(anyId, anyId, (a, b) => {
        fc.pre(a !== b);
        const shared = new Set(nameCandidates(a));
        expect(nameCandidates(b).every((name) => shared.has(name))).toBe(false);
        expect(nameCandidates(a).at(-1)).not.toBe(nameCandidates(b).at(-1));
        expect(sessionSpanId(a)).not.toBe(sessionSpanId(b));
      }),
      runs,
    );
  });

  it("P9 no name leaves its directory, is hidden from a listing or is too long for a file system", () => {
    fc.assert(
      fc.property(anyId, (id) => {
        for (const name of nameCandidates(id)) {
          // biome-ignore lint/suspicious/noControlCharactersInRegex: no name may hold one
          expect(name).not.toMatch(/[/\\.:\u0000-\u001f\u007f]|^$|[ ]$/);
          expect(name).not.toMatch(/^(con|prn|aux|nul|com[0-9]|lpt[0-9])$/i);
          expect(name.isWellFormed()).toBe(true);
          const files = { dir: "d", name };
          for (const path of [appendLogPath(files, recovery), lockPath(files), tempPath(files, recovery)])
            expect(Buffer.byteLength(path.slice(2))).toBeLessThanOrEqual(255);
        }
      }),
      runs,
    );
  });

  it("P7 every file name identifies the kind of its file", () => {
    fc.assert(
      fc.property(anyId, (id) => {
        for (const name of nameCandidates(id)) {
          const files = { dir: "d", name };
          const entry = (path: string) => parseEntry(path.slice(2));
          expect(entry(`d/${name}.json`)).toEqual({ type: "document", name });
          expect(entry(appendLogPath(files, token))).toEqual({ type: "open", name, token });
          expect(entry(journalPath(files, token))).toEqual({ type: "live", name, token });
          expect(entry(appendLogPath(files, recovery))).toEqual({ type: "open", name, token: recovery });
          expect(entry(lockPath(files))).toEqual({ type: "lock", name });
          expect(entry(replayedPath(files))).toEqual({ type: "replayed", name });
          expect(entry(tempPath(files, token))).toEqual({ type: "temp", name, token });
          for (const end of ["", ".open", ".live"])
            expect(entry(`d/${name}.json.damaged.${token}${end}`)).toEqual({ type: "damaged", name });
        }
      }),
      runs,
    );
  });

  it.each([
    "notes.txt",
    ".json",
    "a.b.json",
    "a.json.open",
    "a.json.x.open",
    `a.json.${token}.OPEN`,
    "a.json.damaged",
    "a.json.lock.old",
    "a.json~",
    "",
  ])("P7 %j is no name of the library", (fileName) => {
    expect(parseEntry(fileName)).toEqual({ type: "other" });
  });

  it("P7 the plain name is safe for any id", () => {
    fc.assert(
      fc.property(anyId, (id) => {
        expect(safeId(id)).not.toMatch(/[/\\.:]|^$/);
      }),
      runs,
    );
  });
});
