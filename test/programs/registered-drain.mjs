// A server that answers its last request after SIGTERM, and then ends its traces. `register` is loaded before.
import { trace } from "@opentelemetry/api";
import { shutdown } from "opentelemetry-exporter-crash-safe-file/register";

const attributes = { "session.id": "ses_drained" };
const request = trace.getTracer("server").startSpan("GET /slow", { attributes });
const running = setInterval(() => {}, 1_000);
process.once("SIGTERM", async () => {
  request.end();
  await shutdown();
  clearInterval(running);
});
process.kill(process.pid, "SIGTERM");
