// The same as a CommonJS program, killed in the middle.
const { trace } = require("@opentelemetry/api");

const tracer = trace.getTracer("program");
tracer.startActiveSpan("request", { attributes: { "session.id": "ses_1" } }, () => {
  tracer.startActiveSpan("query", (query) => query.end());
});
setInterval(() => {}, 1_000);
console.log("waits");
