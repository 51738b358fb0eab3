import type { StartTraceOptions } from "../../src/tracer/input-types.js";
import type { SessionTracer } from "../../src/tracer/session-tracer.js";

export const options: StartTraceOptions;
type Part = (tracer: SessionTracer, at: (millis: number) => void) => void;
export const firstTurn: Part;
export const secondTurn: Part;
export const openTurn: Part;
export const manyCalls: Part;
