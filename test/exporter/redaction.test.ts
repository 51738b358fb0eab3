/** A redactor gets all content before any file does. */
import { context, diag, SpanStatusCode, trace } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { Redact } from "../../src/exporter/content-filter.js";
import { redactSecrets } from "../../src/exporter/redact-secrets.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { type FileCalls, type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";
import { rootOf, SessionTracerStage, spansOf, type TracerProcess } from "../support/session-tracer-stage.js";

const secret = "hunter2-in-clear";

/** A redactor as users write it: removes the secret at any place of a value. */
const redact: Redact = (value) =>
  value === undefined ? value : JSON.parse(JSON.stringify(value).replaceAll(secret, "[gone]"));

/** The real file system. Keeps every byte that was written to any file. */
class WatchedFileSystem implements FileSystem {
  readonly #chunks: Buffer[] = [];
  readonly sync: FileSystem["sync"];
  readonly async: FileSystem["async"];

  constructor() {
    const { sync, async } = nodeFileSystem;
    const write: FileCalls["write"] = (fd, bytes, offset, length) => {
      this.#chunks.push(Buffer.from(bytes.subarray(offset, offset + length)));
      return sync.write(fd, bytes, offset, length);
    };
    this.sync = { ...sync, write };
    this.async = { ...async, write: async (...args) => write(...args) };
  }

  get written(): string {
    return Buffer.concat(this.#chunks).toString("utf8");
  }
}

let stage: SessionTracerStage;
let files: WatchedFileSystem;
let host: TracerProcess;
beforeEach(() => {
  stage = new SessionTracerStage();
  files = new WatchedFileSystem();
  host = stage.process({ redact }, files);
});
afterEach(async () => {
  await host.exporter.shutdown();
  stage.remove();
});

/** Fills every field of a session with text that contains the secret. */
function logAll(tracer: SessionTracer): void {
  const text = `it is ${secret}!`;
  tracer.startTrace("s", {
    ...{ instance_id: text, title: text, model: text, providerId: text, agent: text, variant: text },
    ...{ prompt: text, userId: text, environment: text, version: text, tags: ["tag", text] },
  });
  tracer.enrichFromAssistant({ modelID: text, providerID: text, agent: text, variant: text });
  tracer.applyOwuiContext({ userId: text, modelId: text, agent: text });
  tracer.setTitle(`${text} again`, text);
  tracer.setSpanAttributes({ text, deep: { text: [text] } }, "session");
  tracer.logUserMessage(text);
  tracer.logStepStart({ id: text });
  tracer.logText({ text: text });
  const state = { status: "running", input: { text, deep: [{ text }] } };
  tracer.logToolCall({ tool: text, callID: text, state });
  tracer.setSpanAttributes({ running: text }, "tool");
  for (const callID of ["a", "b", "c", "d"])
    tracer.logToolCall({ tool: text, callID, state: { status: "completed", input: text, output: text } });
  tracer.logToolCall({ tool: "t", callID: "e", state: { status: "error", input: [text], error: text } });
  tracer.setSpanAttributes({ late: { text } }, "tool");
  tracer.logStepFinish({ id: text, reason: text });
  const times = { startTime: 1, endTime: 2 };
  tracer.logSpan({ name: text, ...times, input: text, output: { text }, attributes: { text: [text] } });
  tracer.logStepStart({ id: `open ${text}` });
}

/** Does the same on a span of another instrumentation, at its start, while it runs, and at its end. */
async function recordForeign({ foreign, exporter }: TracerProcess): Promise<void> {
  const text = `it is ${secret}!`;
  const attributes = {
    ...{ "session.id": "s", "user.id": text, "gen_ai.request.model": text, "gen_ai.conversation.id": text },
    ...{
      "gen_ai.input.messages": JSON.stringify([{ role: "user", parts: [{ type: "text", content: text }] }]),
    },
    ...{ "gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": [text], list: [text, "b"] },
  };
  const span = foreign.startSpan(text, { attributes, links: [] });
  span.addLink({ context: span.spanContext(), attributes: { text } });
  await exporter.forceFlush();
  span.setAttribute(
    "gen_ai.output.messages",
    `[{"role":"assistant","parts":[{"type":"text","content":"${text}"}]}]`,
  );
  span.addEvent(text, { text });
  span.recordException(new Error(text));
  span.setStatus({ code: SpanStatusCode.ERROR, message: text });
  await exporter.forceFlush();
  const inside = foreign.startSpan("open", { attributes }, trace.setSpan(context.active(), span));
  span.end();
  await exporter.forceFlush();
  inside.setAttribute("later", text);
}

function expectRedacted(): TraceFile {
  const document = stage.document("s");
  expect(files.written).toContain("[gone]");
  expect(files.written).not.toContain(secret);
  return document;
}

describe("P9 the redactor gets all content before any file does", () => {
  test("of a session tracer that is fenced with a reason", async () => {
    const tracer = host.newTracer();
    logAll(tracer);
    await tracer.flush();
    tracer.flushSync(`it was ${secret}`);
    const { summary, metadata, spans } = expectRedacted();
    expect(summary).toMatchObject({ status: "crashed", error: "it was [gone]" });
    expect(summary.topTools?.[0]?.name).toBe("it is [gone]!");
    expect(summary.loops?.[0]?.description).toContain("it is [gone]!");
    expect(metadata).toMatchObject({
      title: "it is [gone]! again",
      tags: ["tag", "it is [gone]!"],
    });
    expect(spans.filter((span) => span.interrupted).map((span) => span.statusMessage)).toContain(
      "it was [gone]",
    );
  });

  test.for<[string, (tracer: SessionTracer) => unknown]>([
    ["endTrace", (tracer) => tracer.endTrace(`it was ${secret}`)],
    ["finalizeSync", (tracer) => tracer.finalizeSync(`it was ${secret}`)],
  ])("of a session tracer that ends with an error, by %s", async ([, end]) => {
    const tracer = host.newTracer();
    logAll(tracer);
    await end(tracer);
    const document = expectRedacted();
    expect(document.summary).toMatchObject({ status: "error", error: "it was [gone]" });
    expect(rootOf(document)).toMatchObject({
      statusMessage: "it was [gone]",
      output: "Error: it was [gone]",
    });
  });

  test("of foreign spans whose exporter is fenced", async () => {
    await recordForeign(host);
    host.exporter.crash(`it was ${secret}`);
    const document = expectRedacted();
    expect(document.summary.error).toBe("it was [gone]");
    expect(spansOf(document).map((span) => span.statusMessage)).toEqual(["it is [gone]!", "it was [gone]"]);
  });

  test("of foreign spans whose session ends with an error", async () => {
    await recordForeign(host);
    await host.exporter.endSession("s", { error: `it was ${secret}` });
    expect(expectRedacted().summary.error).toBe("it was [gone]");
  });

  test("of a process that is killed, and whose session another process resumes", async () => {
    logAll(host.newTracer());
    await recordForeign(host);
    stage.kill();
    const next = stage.process({ redact }, files);
    const tracer = next.newTracer();
    expect(await tracer.rehydrateFromFile("s")).toBe(true);
    logAll(tracer);
    await tracer.endTrace(`it was ${secret}`);
    await next.exporter.shutdown();
    expect(expectRedacted().summary.status).toBe("error");
  });

  test("gets a value with the name of its place, and each value of an unchanged span once", async () => {
    const seen: string[] = [];
    const own = stage.process({
      redact: (value, field) => {
        seen.push(field);
        return value;
      },
    });
    const tracer = own.newTracer();
    tracer.startTrace("s", { title: "t", model: "m", providerId: "p", prompt: "q" });
    tracer.logStepStart({ id: "1" });
    const call = { tool: "look", callID: "c", state: { status: "running", input: { a: 1 } } };
    tracer.logToolCall(call);
    for (let i = 0; i < 3; i++) {
      tracer.logSpan({ name: "other", startTime: 1, endTime: 2 });
      await tracer.flush();
    }
    expect(seen.filter((field) => field === "tool.callId")).toHaveLength(1);
    tracer.logStepFinish({ id: "1", reason: "stop" });
    tracer.flushSync("why");
    expect(new Set(seen)).toEqual(
      new Set([
        ...["name", "statusMessage", "input", "output", "finishReason", "summary.error", "tool.callId"],
        ...["model.modelId", "model.providerId", "metadata.title", "metadata.model", "metadata.providerId"],
        ...["metadata.prompt", "resource.service.name"],
      ]),
    );
  });
});

describe("P6 a redactor that fails", () => {
  const withRedactor = async (bad: Redact) => {
    const own = stage.process({ redact: bad });
    const tracer = own.newTracer();
    tracer.startTrace("s", { title: "title", prompt: "prompt", tags: ["tag"] });
    tracer.logToolCall({ tool: "look", callID: "c", state: { status: "error", input: 1, error: "e" } });
    tracer.logSpan({ name: "work", startTime: 1, endTime: 2, attributes: { good: 1 } });
    tracer.flushSync("why");
    expect(own.exporter.stats()).toMatchObject({ dropped: 0, faults: 0 });
    return stage.document("s");
  };

  test("is logged, once for all fields, with what to do", async () => {
    const logged: string[] = [];
    const ignored = () => {};
    const error = (message: string) => void logged.push(message);
    diag.setLogger({ error, warn: ignored, info: ignored, debug: ignored, verbose: ignored });
    onTestFinished(() => diag.disable());
    class Broken extends Error {
      override readonly name = "Broken";
    }
    await withRedactor(() => {
      throw new Broken("no");
    });
    expect(logged).toEqual(['redact: threw, so that fields are "[redaction failed]"; check the redactor']);
    logged.length = 0;
    const { metadata } = await withRedactor(() => () => "no");
    expect(metadata.title).toBe("[redaction failed]");
    expect(logged).toEqual(['redact: returned a function, so that fields are "[redaction failed]"']);
  });

  test("is refused at construction where it is redactSecrets without its parentheses", () => {
    const construct = () => stage.process({ redact: redactSecrets as unknown as Redact });
    expect(construct).toThrow(/redact is a function \(redactSecrets\), and must be .* with its parentheses/);
  });

  test.for<[string, Redact]>([
    [
      "throws",
      () => {
        throw new Error("no");
      },
    ],
    ["answers with a promise", async (value) => value],
    [
      "answers with a promise that rejects",
      async () => {
        throw new Error("no");
      },
    ],
  ])("that %s loses the fields, and no span", async ([, bad]) => {
    const document = await withRedactor(bad);
    expect(document.summary).toMatchObject({ status: "crashed", error: "[redaction failed]" });
    expect(document.metadata).toEqual({
      title: "[redaction failed]",
      prompt: "[redaction failed]",
      tags: ["[redaction failed]"],
    });
    expect(spansOf(document)).toMatchObject([
      {
        name: "[redaction failed]",
        input: "[redaction failed]",
        statusMessage: "[redaction failed]",
        tool: { callId: "[redaction failed]" },
      },
      { name: "[redaction failed]", attributes: { good: "[redaction failed]" } },
    ]);
  });

  test("that returns a non-text where the document has a text loses those fields", async () => {
    const document = await withRedactor((value) => (typeof value === "string" ? { was: "text" } : value));
    expect(document.summary.error).toBe("[redaction failed]");
    expect(document.metadata).toMatchObject({ title: "[redaction failed]", tags: ["tag"] });
    expect(spansOf(document)[1]).toMatchObject({ name: "[redaction failed]", attributes: { good: 1 } });
  });
});
