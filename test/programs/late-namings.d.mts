import type { Context, Tracer } from "@opentelemetry/api";
import type { SpanProcessor } from "@opentelemetry/sdk-trace-base";

interface Naming {
  run(tracer: Tracer, stop: () => Promise<void>): Promise<void>;
  /** A processor behind that of this package. */
  readonly behind?: SpanProcessor;
}
export function namings(
  setSessionId: (context: Context, id: string) => Context,
): Readonly<Record<string, Naming>>;
