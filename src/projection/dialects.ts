/** The dialects of instrumentations, in order of precedence: a dialect fills only fields that earlier ones left empty. */
import type { Dialect } from "./dialect.js";
import { crashSafeFile } from "./dialects/crash-safe-file.js";
import { genAi } from "./dialects/gen-ai.js";
import { http } from "./dialects/http.js";
import { openInference } from "./dialects/openinference.js";
import { traceloop } from "./dialects/traceloop.js";
import { vercelAi } from "./dialects/vercel-ai.js";

export const dialects: readonly Dialect[] = [crashSafeFile, vercelAi, openInference, traceloop, genAi, http];
