// Writers with faults that the kill matrix must find.
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Acknowledges a span before it is safe: the write waits for the next turn of the event loop. */
export function brokenProcessor(fault, processor) {
  if (fault !== "records later") return processor;
  return {
    onStart: (span, parent) => processor.onStart(span, parent),
    onEnd: (span) => void setImmediate(() => processor.onEnd(span)),
    forceFlush: () => processor.forceFlush(),
    shutdown: () => processor.shutdown(),
    crash: (reason) => processor.crash(reason),
  };
}

/** Keeps spans in memory and overwrites its document in place, as tracers without a journal do. */
export function brokenExporter(fault, { dir }) {
  if (fault !== "writes in place") return undefined;
  const sessions = new Map();
  const spanOf = (span, isOpen) => ({
    spanId: span.spanContext().spanId,
    parentSpanId: `root of ${span.attributes["session.id"]}`,
    name: span.name,
    kind: "span",
    startTime: 1,
    ...(!isOpen && { endTime: 2 }),
    status: "ok",
    attributes: { ...span.attributes },
  });
  const keep = (span, isOpen) => {
    const id = span.attributes["session.id"];
    const spans = sessions.get(id) ?? new Map();
    sessions.set(id, spans.set(span.spanContext().spanId, spanOf(span, isOpen)));
  };
  const write = (id, spans) => {
    const root = { spanId: `root of ${id}`, parentSpanId: null, name: id, kind: "session", startTime: 1 };
    const document = { version: 2, id, traceId: "", sessionId: id, spans: [...spans.values(), root] };
    const summary = { status: "running" };
    mkdirSync(dir, { recursive: true });
    const fd = openSync(join(dir, `${id.replace(/[/:]/g, "_")}.json`), "w");
    for (const piece of JSON.stringify({ ...document, summary }).match(/.{1,65536}/gs) ?? [])
      writeSync(fd, piece);
    closeSync(fd);
  };
  const flush = async () => {
    for (const [id, spans] of sessions) write(id, spans);
  };
  setInterval(flush, 20).unref();
  return {
    recordStart: (span) => keep(span, true),
    recordEnd: (span) => keep(span, false),
    export(_spans, callback) {
      callback({ code: 0 });
    },
    forceFlush: flush,
    endSession: flush,
    shutdown: flush,
    crash() {},
  };
}
