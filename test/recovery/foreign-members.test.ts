/**
 * Documents whose members have other types than the format defines: they are resumed, recovered and replayed, and
 * set no prototype.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import type { ReadableSpan } from "../../src/otel/types.js";
import { listTraces } from "../../src/recovery/list-traces.js";
import { readTrace } from "../../src/recovery/read-trace.js";
import { recoverTraces } from "../../src/recovery/recover-traces.js";
import { replayTraces } from "../../src/replay/replay-traces.js";
import { createSessionTracing } from "../../src/tracer/session-tracing.js";
import { layOut, recordSession } from "../support/recorded-session.js";

const id = "ses_recorded";
const session = await recordSession({ id });
let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(join(os.tmpdir(), "members-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

const path = () => join(dir, `${id}.json`);
const documentOf = (): TraceFile => JSON.parse(fs.readFileSync(path(), "utf8"));

/** Reading it as a number, as a text or as a key of an object throws. */
const unprintable = '{"toString":1,"valueOf":1}';

/** It can be read, and not be written. */
const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;

/** One member of a document, of the wrong type. */
const members: Record<string, { readonly [where: string]: string }> = {
  "a span's name": { spans: `"name":${unprintable}` },
  "a tool's name": { spans: `"kind":"tool","name":${unprintable}` },
  "a span's attributes": { spans: '"attributes":null' },
  "a span's start": { spans: `"startTime":${unprintable}` },
  "a span's trace": { spans: `"traceId":${unprintable}` },
  "a tool's call": { spans: `"kind":"tool","tool":{"callId":${unprintable}}` },
  "a generation's model": { spans: '"kind":"generation","model":{"modelId":1,"providerId":"p"}' },
  "a marker's name": { spans: `"kind":"span","attributes":{"elided":3},"name":${unprintable}` },
  "an open span's start": { spans: `"endTime":null,"startTime":${unprintable}` },
  "an event's name": {
    spans: `"attributes":{"otel.events":[{"name":${unprintable}}],"otel.links":[{"spanId":${unprintable}}]}`,
  },
  "the agent": { metadata: `"agent":${unprintable}` },
  "the model": { metadata: '"model":5,"providerId":"p"' },
  "the tags": { metadata: '"tags":5' },
  "a member of metadata, nested too deep,": { metadata: `"extra":${deep}` },
  "the counters": { summary: `"totalGenerations":${unprintable},"totalToolCalls":1,"status":"crashed"` },
  "the status": { summary: '"status":"bogus"' },
  "the error": { summary: `"status":"crashed","error":${deep}` },
  "the id": { document: `"id":${unprintable}` },
};

const root = '{"spanId":"r","parentSpanId":null,"kind":"session","name":"n","startTime":1,"status":"ok"}';
const documentWith = ({ spans, metadata, summary, document }: { readonly [where: string]: string }) =>
  [
    `{"version":2,"traceId":"t","sessionId":"${id}",${document ? `${document},` : ""}"spans":[`,
    `{"spanId":"s","parentSpanId":"r","status":"ok","endTime":2${spans ? `,${spans}` : ""}},${root}],`,
    `"metadata":{${metadata ?? ""}},"summary":{"status":"crashed"${summary ? `,${summary}` : ""}}}`,
  ].join("");

describe.each(Object.entries(members))("%s of another type", (_, where) => {
  it("P7 does not prevent resuming the session", async () => {
    fs.writeFileSync(path(), documentWith(where));
    expect((await listTraces(dir)).traces).toHaveLength(1);
    const tracing = createSessionTracing({ dir });
    const tracer = tracing.newTracer();
    const isUsable = await tracer.rehydrateFromFile(id);
    expect(isUsable).toBe(true);
    tracer.logStepStart({ id: "step" });
    tracer.logToolCall({ tool: "new", callID: "new", state: { status: "completed" } });
    await tracer.endTrace();
    await tracing.shutdown();
    expect(documentOf().spans.map(({ name }) => name)).toContain("new");
    expect(documentOf().spans.map(({ spanId }) => spanId)).toContain("r");
    expect(documentOf().summary.status).toBe("completed");
  });

  it("P2 does not prevent recovery of the side files of the document", async () => {
    layOut(dir, session, { open: session.open, live: session.live, json: Buffer.from(documentWith(where)) });
    const read = await readTrace(path());
    const { failures, sessions } = await recoverTraces(dir);
    expect(failures).toEqual([]);
    expect(sessions).toMatchObject([{ status: "crashed" }]);
    const ids = documentOf().spans.map(({ spanId }) => spanId);
    expect(ids).toEqual(expect.arrayContaining(session.lines.map(({ span }) => span.spanId)));
    expect(ids).toEqual(read.trace.spans.map(({ spanId }) => spanId));
    expect(documentOf().summary.status).toBe("crashed");
  });

  it("does not prevent replay", async () => {
    fs.writeFileSync(path(), documentWith(where));
    const sent: ReadableSpan[] = [];
    const exporter = {
      export(spans: readonly ReadableSpan[], done: (result: { code: number }) => void) {
        sent.push(...spans);
        done({ code: 0 });
      },
      async shutdown() {},
    };
    const isOver = !("summary" in where && where.summary?.includes("bogus"));
    const { failures } = await replayTraces(dir, exporter, { sessions: isOver ? "crashed" : "ended" });
    expect(failures).toEqual([]);
    for (const span of sent) expect(span.name).toBeTypeOf("string");
  });
});

it("P6 a member __proto__ of metadata sets no prototype", async () => {
  const metadata = '"__proto__":{"polluted":1},"title":"t"';
  const json = Buffer.from(documentWith({ metadata }));
  layOut(dir, session, { open: session.open, live: session.live, json });
  const { trace } = await readTrace(path());
  expect(trace.metadata).not.toHaveProperty("polluted");
  expect(Object.getPrototypeOf(trace.metadata)).toBe(Object.prototype);
  await recoverTraces(dir);
  expect(Object.keys(documentOf().metadata)).toEqual(["__proto__", "title"]);
});
