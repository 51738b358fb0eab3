/** Documents of any kind under a session's name: read, listed, replayed, and resumed. */
import { unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Broken,
  brief,
  changesOf,
  contentsOf,
  faultOf,
  must,
  mustBePlain,
  mustKeep,
  soundIds,
} from "./fuzz-model.mjs";
import { goOn } from "./fuzz-resume.mjs";

const id = "ses_f";
const name = `${id}.json`;

export const seedsOf = ({ documents }) => documents.map((bytes) => ({ files: { [name]: bytes }, way: 0 }));

export const mutate = ({ files }, mutations) => ({
  files: { [name]: mutations.mutate(files[name]) },
  way: mutations.below(4),
});

export async function run({ files, way }, { dir, load }) {
  const bytes = files[name];
  const path = join(dir, name);
  writeFileSync(path, bytes);
  await read(path, dir, load);
  await replay(dir, load);
  writeFileSync(path, bytes);
  await goOn({ dir, id, way, load });
  const after = contentsOf(dir);
  for (const [file, content] of after) {
    if (file.includes(".damaged.")) continue;
    must(file.endsWith(".json"), `${file} was left`);
    const fault = Buffer.isBuffer(content) && content.equals(bytes) ? undefined : faultOf(content);
    must(!fault, `after a resume ${file} ${fault}`);
  }
  mustKeep("a resumed document", bytes, soundIds(bytes), after);
}

async function read(path, dir, load) {
  const { listTraces, readTrace } = await load("reader.js");
  const { Trace } = await load("altimate.js");
  const before = contentsOf(dir);
  let trace;
  try {
    ({ trace } = await readTrace(path));
  } catch (error) {
    if (error.code !== "NOT_A_TRACE") throw error;
  }
  const listing = await listTraces(dir);
  const entries = await Trace.listTraces(dir);
  const page = await Trace.listTracesPaginated(dir, { offset: 0, limit: 5 });
  const loaded = await Trace.loadTrace(id, dir);
  for (const result of [trace, listing, entries, page, loaded]) mustBePlain("what was read", result);
  must(changesOf(before, contentsOf(dir)).length === 0, "reading wrote something");
  must((trace !== undefined) === (entries.length === 1), "a trace that is read is not listed by the drop-in");
  must(trace === undefined || listing.traces.length === 1, "a trace that is read is not listed");
  must(entries.length === page.traces.length, "a page of the drop-in has not what its listing has");
}

async function replay(dir, load) {
  const { replayTraces } = await load("session.js");
  const { JsonTraceSerializer } = await load("@opentelemetry/otlp-transformer");
  let sent = [];
  const exporter = {
    export(spans, done) {
      for (const span of spans) mustBeSpan(span);
      JsonTraceSerializer.serializeRequest(spans);
      sent = sent.concat(spans);
      done({ code: 0 });
    },
    async shutdown() {},
  };
  const first = await replayTraces(dir, exporter, { sessions: "ended" });
  const [failure] = first.failures;
  if (failure) throw failure.error instanceof Error ? failure.error : new Broken(brief(failure));
  const count = sent.length;
  const second = await replayTraces(dir, exporter, { sessions: "ended" });
  must(sent.length === count && second.sessions.length === 0, "a second replay sent something again");
  for (const file of contentsOf(dir).keys()) if (file !== name) unlinkSync(join(dir, file));
}

const isTime = (time) =>
  Array.isArray(time) && time.length === 2 && time.every((part) => Number.isSafeInteger(part) && part >= 0);

function mustBeSpan(span) {
  const { spanId, traceId } = span.spanContext();
  must(/^[0-9a-f]{16}$/.test(spanId) && /^[0-9a-f]{32}$/.test(traceId), `ids ${spanId} and ${traceId}`);
  must(
    isTime(span.startTime) && isTime(span.endTime),
    () => `times ${brief([span.startTime, span.endTime])}`,
  );
  must(typeof span.name === "string", () => `a span named ${brief(span.name)}`);
  mustBePlain("a replayed span", { ...span, resource: undefined });
}
