// A worker thread without code for tracing. Threads inherit `--import`.
import { trace } from "@opentelemetry/api";

trace
  .getTracer("thread")
  .startSpan("of the thread", { attributes: { "session.id": "ses_thread" } })
  .end();
