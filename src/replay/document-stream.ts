/**
 * The spans of a published document, piece by piece: a document may be larger than memory should hold.
 */

import { elidedTotals } from "../format/cap.js";
import { decodeLine, isRoot } from "../format/document.js";
import type { TraceSpan } from "../format/trace-file.js";
import { validSpan } from "../format/validate.js";
import type { FileSystem } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import type { Published } from "../storage/document-file.js";
import { scanLines } from "../storage/lines.js";

/** Of the document, in one piece. */
const windowBytes = 1 << 20;

/**
 * All spans that once were spans, in the document's order: not the session's own, and not a cap's marker. Members of
 * the wrong type are left out. Where the
 * layout is somebody else's, the document was read whole, and is one piece. Lines that are no spans are left out.
 */
export async function* documentSpans(
  fileSystem: FileSystem,
  { descriptor, body, tail }: Published,
): AsyncGenerator<readonly TraceSpan[]> {
  if (body.type === "spans") yield body.spans.filter(wasSpan).map(validSpan);
  if (body.type === "lines") {
    let { from } = body;
    let bytes = windowBytes;
    while (from < body.to) {
      const spans: TraceSpan[] = [];
      const to = Math.min(from + bytes, body.to);
      const end = await runAsync(
        fileSystem,
        scanLines(descriptor.fd, from, to, (line) => {
          const decoded = decodeLine(line, -1);
          if (decoded.type === "span") spans.push(decoded.span);
        }),
      );
      // Not one whole line: it is longer than the piece.
      if (end === from && to === body.to) break;
      bytes = end === from ? bytes * 2 : windowBytes;
      from = end;
      yield spans.filter(wasSpan).map(validSpan);
    }
  }
  yield (tail?.spans ?? []).filter(wasSpan).map(validSpan);
}

const wasSpan = (span: TraceSpan): boolean => !isRoot(span) && elidedTotals(span) === undefined;
