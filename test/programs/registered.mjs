// A program without code for tracing: it uses the API alone. `--import …/register` traces it.
import { Worker } from "node:worker_threads";
import { context, trace } from "@opentelemetry/api";

const tracer = trace.getTracer("program");
const attributes = { "session.id": "ses_1" };
const [task = ""] = process.argv.slice(2);

tracer.startActiveSpan("request", { attributes }, (request) => {
  tracer.startActiveSpan("query", {}, context.active(), (query) => query.end());
  if (task !== "wait") request.end();
});

if (task === "wait") {
  // The test kills it in the middle.
  setInterval(() => {}, 1_000);
  console.log("waits");
}
if (task === "thread") {
  await new Promise((resolve) =>
    new Worker(new URL("registered-thread.mjs", import.meta.url)).once("exit", resolve),
  );
}
