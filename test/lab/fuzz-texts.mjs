/** Input without files: lines, attributes, ids, names, tokens, headers, environment variables. */
import { isUtf8 } from "node:buffer";
import { brief, must, mustBePlain } from "./fuzz-model.mjs";
import { keys } from "./fuzz-words.mjs";

const texts = [
  "ses_1",
  "a/b",
  "..",
  "con",
  "x".repeat(300),
  "é\u0301",
  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  "a=b,c=%41,__proto__=x,d=%zz",
  "crash-safe-file,otlp",
  "gp6-gp6-1h35p-5unan6mt-1smw8qzo",
  "ses_f.json.gp6-gp6-1h35p-5unan6mt-1smw8qzo.open",
  "5000",
  "/tmp/x",
  '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
  '{"gen_ai.operation.name":"chat","gen_ai.input.messages":"[1]","ai.usage.promptTokens":3}',
  '{"openinference.span.kind":"LLM","llm.input_messages.0.message.content":"x","llm.token_count.prompt":-1}',
  '{"traceloop.span.kind":"tool","gen_ai.prompt.0.content":"x","gen_ai.completion.0.role":"y"}',
  '{"crash_safe_file.json_keys":["a","__proto__"],"a":"{}","__proto__":"{}","crash_safe_file.kind":"tool"}',
];

export const seedsOf = ({ killed, documents }) =>
  [...texts.map((text) => Buffer.from(text)), killed[0].open, killed[0].live, ...documents].map((bytes) => ({
    files: { bytes },
  }));

export const mutate = ({ files }, mutations) => ({ files: { bytes: mutations.mutate(files.bytes) } });

export async function run({ files: { bytes } }, { load }) {
  const text = bytes.toString("utf8");
  await lines(bytes, load);
  await names(text, load);
  await words(text, load);
  await values(text, load);
}

async function lines(bytes, load) {
  const { decodeDocument, decodeHead, decodeLine, decodeTail, lineKey, tailStartIn } =
    await load("format/document.js");
  const { replayJournal } = await load("format/journal.js");
  const log = replayJournal(bytes);
  const results = [log.session, [...log.spans.values()], decodeDocument(bytes.toString("utf8"))];
  for (let from = 0, count = 0; from < bytes.length && count < 200; count++) {
    const end = bytes.indexOf(0x0a, from);
    const line = bytes.subarray(from, end < 0 ? bytes.length : end);
    const decoded = decodeLine(line, from);
    must(decoded.type === "corrupt" || isUtf8(line), "what is no UTF-8 was taken for a line");
    results.push(decodeHead(line), decoded, decodeTail(line), lineKey(line), tailStartIn(line));
    from += line.length + 1;
  }
  mustBePlain("a line", results);
}

async function names(text, load) {
  const { nameCandidates, parseEntry, safeId, sessionSpanId } = await load("format/file-names.js");
  const { SystemLiveness, isDead, isOrphaned } = await load("platform/liveness.js");
  const { nodeFileSystem } = await load("platform/file-system.js");
  for (const name of [...nameCandidates(text), ...nameCandidates(`${text}x`)]) {
    must(Buffer.byteLength(name) <= 120, () => `a name of ${Buffer.byteLength(name)} bytes`);
    const entry = parseEntry(`${name}.json`);
    must(entry.type === "document" && entry.name === name, () => `${brief(name)} is no document's name`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what no file name may hold
    must(!/[/\\\u0000]|^\.\.?$/.test(name), () => `${brief(name)} leads out of the directory`);
  }
  const own = new Set(nameCandidates(text));
  must(!nameCandidates(`${text}x`).some((name) => own.has(name)), "two ids share a name");
  must(/^[0-9a-f]{16}$/.test(sessionSpanId(safeId(text))), "a session span's id");
  parseEntry(text);
  const liveness = new SystemLiveness(nodeFileSystem.sync);
  const verdicts = ["alive", "dead", "unknown"];
  must(verdicts.includes(liveness.verdict(text)), "no verdict");
  isDead(liveness, text);
  isOrphaned(liveness, text, Number.NaN, Date.now());
}

async function words(text, load) {
  const { resolveMaxSpans, resolveTracesDir } = await load("altimate/defaults.js");
  const { resourceAttributesOf } = await load("otel/resource.js");
  const { resolveOptions } = await load("tracer/session-tracing-options.js");
  const { clientContext, headersOf } = await load("tracer/trace-context.js");
  const most = resolveMaxSpans({ ALTIMATE_TRACE_MAX_SPANS: text });
  must(Number.isSafeInteger(most) && most >= 1, () => `a cap of ${most}`);
  must(typeof resolveTracesDir({ XDG_DATA_HOME: text }) === "string", "no directory");
  const attributes = resourceAttributesOf({ OTEL_RESOURCE_ATTRIBUTES: text, OTEL_SERVICE_NAME: text });
  must(
    Object.values(attributes).every((value) => typeof value === "string"),
    "a resource attribute",
  );
  mustBePlain("resource attributes", attributes);
  const variables = ["OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL", "CRASH_SAFE_FILE_DIR"];
  for (const variable of variables) {
    try {
      resolveOptions({}, { OTEL_TRACES_EXPORTER: "otlp", [variable]: text });
    } catch (error) {
      if (error.code !== "INVALID_OPTION") throw error;
    }
  }
  const client = clientContext({ traceparent: text, tracestate: text });
  if (client)
    must(
      /^00(-[\da-f]{32}|-[\da-f]{16}|-[\da-f]{2}){3}$/.test(headersOf(client).traceparent),
      "a header that is none",
    );
}

async function values(text, load) {
  const { projectSpan } = await load("projection/project-span.js");
  const { capSpansForSerialization } = await load("altimate/span-cap.js");
  const { toJsonValue } = await load("format/json-value.js");
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    value = text;
  }
  const attributes = Object(value) === value && !Array.isArray(value) ? value : {};
  for (const key of keys.slice(0, 10))
    Object.defineProperty(attributes, key, {
      value: text,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  const jsonKeys = [
    "gen_ai.input.messages",
    "gen_ai.tool.call.arguments",
    "ai.prompt",
    "input.value",
    "traceloop.entity.input",
  ];
  for (const key of jsonKeys) {
    const { span, metadata } = projectSpan(spanOf({ ...attributes, [key]: text }));
    mustBePlain("a projected span", [span, metadata]);
    JSON.stringify(toJsonValue(span));
  }
  const plain = toJsonValue(value);
  mustBePlain("a JSON value", plain);
  JSON.stringify(plain);
  const spans = Array.isArray(value?.spans) ? value.spans : [value, value, value, value];
  must(Array.isArray(capSpansForSerialization(spans, 3)), "a cap that gives no list");
}

const spanOf = (attributes) => ({
  name: "fuzz",
  kind: 0,
  spanContext: () => ({
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "00000000deadbeef",
    traceFlags: 1,
  }),
  startTime: [1_767_323_045, 0],
  endTime: [1_767_323_046, 0],
  duration: [1, 0],
  ended: true,
  status: { code: 0 },
  attributes,
  events: [],
  links: [],
  resource: { attributes: {} },
  instrumentationScope: { name: "fuzz" },
  droppedAttributesCount: 0,
  droppedEventsCount: 0,
  droppedLinksCount: 0,
});
