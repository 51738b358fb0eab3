/** Traces a program without a line of code: the entry `opentelemetry-exporter-crash-safe-file/register`. */
import { registerTracing } from "./register/registration.js";

export { shutdown } from "./register/registration.js";

registerTracing();
