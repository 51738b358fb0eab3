// A hosted backend in fifty lines: takes OTLP as JSON, and calls back with each trace it hears of.
import { createServer } from "node:http";

/** Starts a collector; `onTrace(spans)` gets the spans of a trace in order of start, when its root has come. */
export async function startCollector(onTrace) {
  const traces = new Map();
  const server = createServer(async (request, response) => {
    const { resourceSpans } = JSON.parse(Buffer.concat(await request.toArray()).toString());
    const spans = resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans));
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
    for (const span of spans.map(plain)) {
      const trace = [...(traces.get(span.traceId) ?? []), span];
      traces.set(span.traceId, trace);
      // A turn's root is the last of its spans to end.
      if (!span.parentSpanId) onTrace(trace.sort((a, b) => a.start - b.start || b.end - a.end));
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    endpoint: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Times in milliseconds, attributes as one object. */
function plain({
  traceId,
  spanId,
  parentSpanId,
  name,
  startTimeUnixNano,
  endTimeUnixNano,
  attributes,
  links,
}) {
  const values = attributes.map(({ key, value }) => [key, Object.values(value)[0]]);
  const [start, end] = [startTimeUnixNano, endTimeUnixNano].map((nanos) => Number(nanos) / 1e6);
  return { traceId, spanId, parentSpanId, name, start, end, attributes: Object.fromEntries(values), links };
}

/** The lines of a trace as a tree with bars. */
export function drawTrace(spans, width = 34) {
  const [root] = spans.filter(({ parentSpanId }) => !parentSpanId);
  const place = (time) => Math.round(((time - root.start) / (root.end - root.start || 1)) * width);
  const draw = (span, indent) => {
    const label = `${indent}${span.name}`.slice(0, 34).padEnd(34);
    const bar = `${" ".repeat(place(span.start))}${"━".repeat(Math.max(1, place(span.end) - place(span.start)))}`;
    const inner = spans.filter(({ parentSpanId }) => parentSpanId === span.spanId);
    return [
      `${label} ${`${Math.round(span.end - span.start)} ms`.padStart(8)}  ${bar}`,
      ...inner.flatMap((child) => draw(child, `${indent}  `)),
    ];
  };
  return draw(root, "");
}
