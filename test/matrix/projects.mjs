/** Projects as users have them: one SDK each, and the ways in which a program imports the package. */

import { frameworks } from "./frameworks.mjs";

const modules = ["ESM", "CommonJS"];
const typed = ["TypeScript, nodenext", "TypeScript, bundler"];
/** Bundlers, with the end of the names of their output. */
export const bundled = {
  "esbuild ESM": "mjs",
  "esbuild CommonJS": "cjs",
  "webpack ESM": "mjs",
  "webpack CommonJS": "cjs",
  "rollup ESM": "mjs",
  "rollup CommonJS": "cjs",
  "Vite SSR": "mjs",
  tsup: "js",
};
const bunned = ["Bun script", "Bun binary"];

/** The code that makes a tracer with `processor`. */
const providerOf = (name, from) => ({
  from,
  name,
  text: `const tracer = new ${name}({ spanProcessors: [processor] }).getTracer("matrix");`,
});
const nodeSdk = {
  from: "@opentelemetry/sdk-node",
  name: "NodeSDK",
  text: 'new NodeSDK({ spanProcessors: [processor] }).start();\nconst tracer = trace.getTracer("matrix");',
};

/** Each project is installed once. `runtime` is the oldest that its SDK supports; CI leaves out what `isLong`. */
export const projects = [
  {
    name: "sdk-trace-base 2.0.1",
    runtime: "node20",
    packages: ["api@1.9.0", "core@2.0.1", "sdk-trace-base@2.0.1"],
    provider: providerOf("BasicTracerProvider", "@opentelemetry/sdk-trace-base"),
    ways: [...modules, ...typed, ...bunned],
  },
  {
    name: "sdk-trace-base 2.12.1",
    runtime: "node20",
    packages: ["api@1.9.1", "core@2.12.1", "sdk-trace-base@2.12.1"],
    provider: providerOf("BasicTracerProvider", "@opentelemetry/sdk-trace-base"),
    ways: [...modules, ...typed, ...bunned],
  },
  {
    name: "sdk-trace 2.12.1",
    runtime: "node20",
    packages: ["api@1.9.1", "core@2.12.1", "sdk-trace@2.12.1"],
    provider: providerOf("TracerProvider", "@opentelemetry/sdk-trace"),
    ways: [...modules, ...typed, ...bunned],
  },
  {
    name: "sdk-trace 3.1.1",
    runtime: "node22",
    packages: ["api@1.10.0", "core@3.1.1", "sdk-trace@3.1.1"],
    provider: providerOf("TracerProvider", "@opentelemetry/sdk-trace"),
    ways: [...modules, "register", ...typed, ...bunned],
  },
  {
    name: "sdk-node 0.222 (2.x)",
    runtime: "node20",
    packages: ["api@1.9.1", "sdk-node@0.222.0"],
    provider: nodeSdk,
    ways: [...modules, "register"],
  },
  {
    name: "sdk-node 0.301 (3.x)",
    runtime: "node24",
    packages: ["api@1.10.0", "sdk-node@0.301.0"],
    provider: nodeSdk,
    ways: [...modules, "register"],
  },
  {
    name: "bundlers, Deno, Jest",
    runtime: "node20",
    packages: ["api@1.9.1", "core@2.12.1", "sdk-trace-base@2.12.1"],
    tools: [
      "esbuild@0.28.2",
      "webpack@5.113.0",
      "rollup@4.68.8",
      "@rollup/plugin-node-resolve@16.0.3",
      "@rollup/plugin-commonjs@29.0.3",
      "vite@8.4.0",
      "tsup@8.5.1",
      "typescript@5.9.3",
      "jest@30.5.2",
      "jest-environment-jsdom@30.5.2",
      "deno@2.9.6",
    ],
    provider: providerOf("BasicTracerProvider", "@opentelemetry/sdk-trace-base"),
    ways: [
      ...Object.keys(bundled),
      "Bun bundle",
      "Deno",
      "Deno with named permissions",
      "Jest",
      "Jest, jsdom",
    ],
  },
  {
    name: "Next.js",
    isLong: true,
    runtime: "node22",
    packages: ["api@1.9.1", "core@2.12.1", "sdk-trace-base@2.12.1"],
    tools: ["next@16.4.6", "react@19", "react-dom@19"],
    provider: providerOf("BasicTracerProvider", "@opentelemetry/sdk-trace-base"),
    ways: ["Next.js, turbopack", "Next.js, webpack"],
  },
  {
    name: "register in frameworks",
    isLong: true,
    runtime: "node22",
    packages: ["api@1.9.1", "auto-instrumentations-node@0.81.2"],
    tools: [
      "express@5.3.0",
      "fastify@5",
      "next@16.4.6",
      "react@19",
      "react-dom@19",
      "ai@6.0.325",
      "zod@4.6.7",
    ],
    provider: { from: "@opentelemetry/api", name: "trace as api", text: "" },
    ways: Object.keys(frameworks).map((name) => `register, ${name}`),
  },
  {
    name: "api 1.9 alone",
    runtime: "node20",
    packages: ["api@1.9.1"],
    provider: { from: "@opentelemetry/api" },
    ways: ["advice"],
  },
  {
    name: "api 1.10 alone",
    runtime: "node24",
    packages: ["api@1.10.0"],
    provider: { from: "@opentelemetry/api" },
    ways: ["advice", "core as a peer"],
  },
  {
    // Reads and recovers the files that another project left.
    name: "no OpenTelemetry at all",
    runtime: "node20",
    packages: [],
    provider: undefined,
    ways: [...modules, "TypeScript, nodenext", "Bun script", "Bun binary"],
  },
];
