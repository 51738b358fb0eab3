/** The dialects of instrumentations, in order of precedence: a dialect fills only fields that earlier ones left empty. */
import type { Dialect } from "./dialect.js";
import { crashSafeFile } from "./dialects/crash-safe-file.js";
import { genAi } from "./dialects/gen-ai.js";
import { genkit } from "./dialects/genkit.js";
import { googleAdk } from "./dialects/google-adk.js";
import { http } from "./dialects/http.js";
import { langfuseSdk } from "./dialects/langfuse-sdk.js";
import { langSmith } from "./dialects/langsmith.js";
import { mastra } from "./dialects/mastra.js";
import { openInference } from "./dialects/openinference.js";
import { traceloop } from "./dialects/traceloop.js";
import { vercelAi } from "./dialects/vercel-ai.js";

export const dialects: readonly Dialect[] = [
  crashSafeFile,
  vercelAi,
  langfuseSdk,
  langSmith,
  mastra,
  genkit,
  googleAdk,
  openInference,
  traceloop,
  genAi,
  http,
];
