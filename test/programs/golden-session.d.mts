import type { SessionTracer } from "../../src/session-tracer.js";
import type { StartTraceOptions } from "../../src/session-tracer-input.js";

export const options: StartTraceOptions;
type Part = (tracer: SessionTracer, at: (millis: number) => void) => void;
export const firstTurn: Part;
export const secondTurn: Part;
export const openTurn: Part;
export const manyCalls: Part;
