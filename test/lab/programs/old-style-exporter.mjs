// A writer built the old way: the whole session in memory, written to a temp file and renamed, asynchronously, on
// each event; a crash flush in place; no second snapshot for an event during a snapshot.
import { mkdirSync, promises, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * @param fault `renames later` (a stale snapshot lands after the crash flush) or `forgets the tail` (no second
 *   snapshot); `undefined` for any other
 * @param token part of the names of its temp files, which strace must know
 */
export function oldStyleExporter(fault, { dir }, token, onCopy) {
  if (fault !== "renames later" && fault !== "forgets the tail") return undefined;
  const sessions = new Map();
  const mustReschedule = fault === "renames later";
  let temps = 0;

  const sessionOf = (span) => {
    const id = span.attributes["session.id"];
    if (!sessions.has(id)) sessions.set(id, { id, spans: new Map(), writing: undefined, isStale: false });
    return sessions.get(id);
  };
  const textOf = ({ id, spans }, status, error) => {
    const root = { spanId: `root of ${id}`, parentSpanId: null, name: id, kind: "session", startTime: 1 };
    return JSON.stringify({
      version: 2,
      id,
      traceId: "",
      sessionId: id,
      spans: [...spans.values(), root],
      summary: { status, error, totalToolCalls: spans.size, totalGenerations: 0 },
    });
  };
  const pathOf = ({ id }) => join(dir, `${id}.json`);
  const write = async (session, status) => {
    const temp = `${pathOf(session)}.tmp.${token}.${++temps}`;
    mkdirSync(dir, { recursive: true });
    onCopy?.();
    await promises.writeFile(temp, textOf(session, status));
    await promises.rename(temp, pathOf(session));
  };
  const snapshot = (session) => {
    session.isStale = true;
    session.writing ??= (async () => {
      while (session.isStale) {
        session.isStale = false;
        await write(session, "running").catch(() => {});
        if (!mustReschedule) break;
      }
      session.writing = undefined;
    })();
  };
  const keep = (span, isOpen) => {
    const session = sessionOf(span);
    const { spanId } = span.spanContext();
    session.spans.set(spanId, {
      spanId,
      parentSpanId: `root of ${session.id}`,
      name: span.name,
      kind: "tool",
      startTime: 1,
      ...(!isOpen && { endTime: 2 }),
      status: "ok",
      attributes: { ...span.attributes },
    });
    snapshot(session);
  };
  const end = async (session) => {
    await session.writing;
    await write(session, "completed");
  };
  return {
    recordStart: (span) => keep(span, true),
    recordEnd: (span) => keep(span, false),
    export: (_spans, callback) => callback({ code: 0 }),
    async forceFlush() {
      for (const session of sessions.values()) await session.writing;
    },
    endSession: (id) => end(sessions.get(id)),
    async shutdown() {
      for (const session of sessions.values()) await end(session);
    },
    crash(error) {
      for (const session of sessions.values())
        writeFileSync(pathOf(session), textOf(session, "crashed", error));
    },
  };
}
