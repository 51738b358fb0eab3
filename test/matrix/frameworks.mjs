/**
 * Programs of frameworks and runtimes that have no code for tracing but the name of their session. `register` traces them, and
 * they are killed in the middle of their work.
 */

const register = "opentelemetry-exporter-crash-safe-file/register";
const byImport = (file) => ["node", "--import", register, file];

/** Records a span that ends, and one that does not. `name`: what names the session. */
const work = (name) => `${name}
  const tracer = trace.getTracer("app");
  tracer.startActiveSpan("answer", () => tracer.startSpan("looked up").end());
  console.log("recorded");`;
const byAttribute = 'trace.getActiveSpan()?.setAttribute("session.id", "chat");';
const callOf = (port) => `fetch("http://127.0.0.1:" + ${port} + "/chat").catch(() => {})`;

const nextFiles = {
  "instrumentation.js": `export const register = async () => {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  await import("${register}");
  const call = () => fetch(\`http://127.0.0.1:\${process.env.PORT}/chat\`).catch(() => setTimeout(call, 100));
  call();
};
`,
  "app/layout.js": "export default ({ children }) => <html><body>{children}</body></html>;\n",
  "app/chat/route.js": `import { trace } from "@opentelemetry/api";

export const dynamic = "force-dynamic";
export const GET = () => {
  ${work(byAttribute)}
  return new Promise(() => {});
};
`,
};

/**
 * What each needs: files, the command that starts it, what builds it, its environment, and the spans of its session that are
 * expected, maybe among others.
 */
export const frameworks = {
  express: {
    files: {
      "express.mjs": `import { trace } from "@opentelemetry/api";
import express from "express";

const app = express();
app.get("/chat", () => {
  ${work(byAttribute)}
});
const server = app.listen(0, "127.0.0.1", () => ${callOf("server.address().port")});
`,
    },
    start: byImport("express.mjs"),
    session: "chat",
    spans: ["looked up", "answer interrupted", "GET interrupted"],
  },
  fastify: {
    files: {
      "fastify.mjs": `import { trace } from "@opentelemetry/api";
import fastify from "fastify";

const app = fastify();
app.get("/chat", () => {
  ${work(byAttribute)}
  return new Promise(() => {});
});
app.listen({ port: 0, host: "127.0.0.1" }).then((url) => fetch(\`\${url}/chat\`)).catch(() => {});
`,
    },
    start: byImport("fastify.mjs"),
    session: "chat",
    spans: ["looked up", "answer interrupted", "GET interrupted"],
  },
  "Next.js, turbopack": {
    files: nextFiles,
    build: ["node_modules/next/dist/bin/next", "build", "--turbopack"],
    start: ["node", "node_modules/next/dist/bin/next", "start"],
    session: "chat",
    spans: ["looked up", "answer interrupted", "executing api route (app) /chat interrupted"],
  },
  "Next.js, webpack": {
    files: nextFiles,
    build: ["node_modules/next/dist/bin/next", "build", "--webpack"],
    start: ["node", "node_modules/next/dist/bin/next", "start"],
    session: "chat",
    spans: ["looked up", "answer interrupted", "executing api route (app) /chat interrupted"],
  },
  "AI SDK": {
    files: {
      "agent.mjs": `import { generateText, tool } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { z } from "zod";

const usage = {
  inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
};
const doGenerate = async () => ({
  content: [{ type: "tool-call", toolCallId: "call_1", toolName: "weather", input: '{"city":"Paris"}' }],
  finishReason: { unified: "tool-calls", raw: "tool_calls" },
  usage,
  warnings: [],
});
await generateText({
  model: new MockLanguageModelV3({ modelId: "gpt-4o", doGenerate }),
  prompt: "Weather in Paris?",
  tools: {
    weather: tool({
      inputSchema: z.object({ city: z.string() }),
      execute: () => {
        console.log("recorded");
        setInterval(() => {}, 1_000);
        return new Promise(() => {});
      },
    }),
  },
  experimental_telemetry: { isEnabled: true, metadata: { sessionId: "chat" } },
});
`,
    },
    start: byImport("agent.mjs"),
    session: "chat",
    spans: ["ai.generateText interrupted", "ai.generateText.doGenerate", "weather interrupted"],
  },
  "a command": {
    files: {
      "command.cjs": `#!/usr/bin/env node
const { trace } = require("@opentelemetry/api");

${work("")}
setInterval(() => {}, 1_000);
`,
    },
    start: ["./command.cjs"],
    environment: { NODE_OPTIONS: `--require ${register}`, CRASH_SAFE_FILE_WITHOUT_SESSION: "process" },
    spans: ["looked up", "answer interrupted"],
  },
  "a worker": {
    files: {
      "main.mjs": `import { Worker } from "node:worker_threads";

new Worker(new URL("thread.mjs", import.meta.url)).once("message", () => console.log("recorded"));
`,
      "thread.mjs": `import { parentPort } from "node:worker_threads";
import { trace } from "@opentelemetry/api";

trace.getTracer("app").startActiveSpan("request", { attributes: { "session.id": "chat" } }, () => {
  ${work("").replace('console.log("recorded")', 'parentPort.postMessage("recorded")')}
});
setInterval(() => {}, 1_000);
`,
    },
    start: byImport("main.mjs"),
    session: "chat",
    spans: ["looked up", "answer interrupted", "request interrupted"],
  },
  Bun: {
    files: {
      "bun.ts": `import { trace } from "@opentelemetry/api";

trace.getTracer("app").startActiveSpan("request", { attributes: { "session.id": "chat" } }, () => {
  ${work("")}
});
setInterval(() => {}, 1_000);
`,
    },
    start: ["bun", "--preload", register, "bun.ts"],
    session: "chat",
    spans: ["looked up", "answer interrupted", "request interrupted"],
  },
};
