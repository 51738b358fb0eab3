/** The bytes of a document, line by line: which are no spans, and where a file stops being a document. */
import { decodeHead, decodeLine } from "../format/document.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { type Gensync, runAsync } from "../platform/gensync.js";
import { hollowBytes, openPublished, type Published, readHeadLine } from "../storage/document-file.js";
import { chunkBytes, readRange, scanLines } from "../storage/lines.js";
import { byteCount } from "../text/display-text.js";
import type { Findings } from "./finding.js";
import type { FoundSession } from "./session-catalog.js";

/** Adds what is wrong with the lines of a document. Returns the number of lines that are no spans. */
export async function scanDocument({ files }: FoundSession, findings: Findings): Promise<number> {
  const published = await runAsync(nodeFileSystem, openPublished(nodeFileSystem, files));
  if (!published) return 0;
  try {
    const { body } = published;
    if (body.type === "lines")
      return await scan(published, body.from, body.to, 2, `${files.name}.json`, findings);
    return body.type === "unreadable" ? await scanUnreadable(published, `${files.name}.json`, findings) : 0;
  } finally {
    published.descriptor.release();
  }
}

async function scan(
  { descriptor }: Published,
  from: number,
  to: number,
  firstLine: number,
  file: string,
  findings: Findings,
): Promise<number> {
  let corrupt = 0;
  let number = firstLine;
  const end = await runAsync(
    nodeFileSystem,
    scanLines(descriptor.fd, from, to, (line, offset) => {
      const place = { file, line: number++, offset };
      const decoded = decodeLine(line, offset);
      if (decoded.type === "span") findings.times(decoded.span, place);
      else {
        corrupt++;
        findings.add("corrupt", place, `no span: ${faultOf(line)}`);
      }
    }),
  );
  if (end < to) {
    const length = byteCount(to - end);
    findings.add(
      "corrupt",
      { file, line: number, offset: end },
      `the file ends within a line, ${length} after its beginning`,
    );
  }
  return corrupt;
}

/** Where a file stops being a document, and how many spans can still be read by eye. */
async function scanUnreadable(published: Published, file: string, findings: Findings): Promise<number> {
  const { descriptor, size } = published;
  if (size === 0) {
    findings.add("corrupt", { file, offset: 0 }, "the file is empty");
    return 0;
  }
  const head = await runAsync(nodeFileSystem, readHeadLine(descriptor.fd, size));
  if (decodeHead(head)) {
    const before = findings.count;
    const corrupt = await scan(published, head.length, size, 2, file, findings);
    if (findings.count === before)
      findings.add("corrupt", { file, offset: size }, "the last line is missing");
    return corrupt;
  }
  const nul = await runAsync(nodeFileSystem, firstNul(descriptor.fd, size));
  if (nul !== undefined)
    findings.add("corrupt", { file, offset: nul }, "NUL bytes: a power cut, or a disk that was full");
  else {
    const text = await runAsync(nodeFileSystem, readRange(descriptor.fd, 0, Math.min(size, hollowBytes)));
    const message = size > hollowBytes ? "a long file that is no trace" : jsonFault(text.toString("utf8"));
    findings.add("corrupt", { file, offset: 0 }, message);
  }
  return 0;
}

/** The offset of the first NUL byte of a file. */
function* firstNul(fd: number, size: number): Gensync<number | undefined> {
  for (let from = 0; from < size; from += chunkBytes) {
    const found = (yield* readRange(fd, from, Math.min(size, from + chunkBytes))).indexOf(0);
    if (found >= 0) return from + found;
  }
  return undefined;
}

function jsonFault(text: string): string {
  try {
    JSON.parse(text);
    return "JSON without spans";
  } catch {
    return "not JSON";
  }
}

function faultOf(line: Buffer): string {
  if (line.includes(0)) return "NUL bytes";
  const text = line.toString("utf8");
  return text.includes("\ufffd") ? "bytes that are not UTF-8" : jsonFault(text.replace(/^,/, ""));
}
