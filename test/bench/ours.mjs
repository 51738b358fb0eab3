/** Shared by the contenders of this package. */
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { entry } from "./build.mjs";

/** Opens the exporter of the build under test, with a processor of the caller's choice. */
export async function openOurs({ dir }, options, processorFor) {
  const { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } = await entry();
  const exporter = new CrashSafeFileSpanExporter({ dir, ...options });
  const processor = await processorFor({ exporter, CrashSafeSpanProcessor });
  return {
    exporter,
    start: (span) => processor.onStart(span, ROOT_CONTEXT),
    end: (span) => processor.onEnd(span),
    flush: () => processor.forceFlush(),
    close: () => processor.shutdown(),
  };
}

/** The spans that a recovery brings back: ended spans, without the sessions' own. */
export async function oursSurvivors({ dir, sessions }) {
  const { recoverTraces, readTrace, listTraces } = await entry("reader");
  await recoverTraces(dir);
  const { traces } = await listTraces(dir, { limit: sessions.length + 1 });
  let count = 0;
  for (const { path } of traces) {
    const { trace } = await readTrace(path);
    count += trace.spans.filter(
      ({ kind, endTime, interrupted }) => kind !== "session" && endTime && !interrupted,
    ).length;
  }
  return count;
}
