/**
 * Bundles the programs `record` and `read` of a project, as one of these ways has them: `node bundlers.mjs <way>`. Prints
 * the warnings of the bundler, and nothing else. Copied into the project, whose packages this file imports.
 */
import { resolve } from "node:path";

const [way, out] = process.argv.slice(2);
const names = ["record", "read"];
const sources = (end) => names.map((name) => `${name}.${end}`);
const entries = (end) => Object.fromEntries(names.map((name) => [name, resolve(`${name}.${end}`)]));
const warn = (message) => console.log(message);

async function esbuild(format, end, options) {
  const { build } = await import("esbuild");
  await build({
    entryPoints: sources("mjs"),
    bundle: true,
    platform: "node",
    format,
    outdir: out,
    outExtension: { ".js": `.${end}` },
    logLevel: "warning",
    ...options,
  });
}

async function webpack(source, end, module) {
  const { default: bundle } = await import("webpack");
  const stats = await new Promise((done, failed) =>
    bundle(
      {
        mode: "production",
        target: "node20",
        optimization: { minimize: false },
        entry: entries(source),
        experiments: { outputModule: module },
        output: {
          path: resolve(out),
          filename: `[name].${end}`,
          ...(module && { module, chunkFormat: "module", library: { type: "module" } }),
        },
      },
      (error, result) => (error ? failed(error) : done(result)),
    ),
  );
  warn(stats.toString({ all: false, warnings: true, errors: true }));
}

async function rollup(format, end) {
  const { rollup: bundle } = await import("rollup");
  const { default: nodeResolve } = await import("@rollup/plugin-node-resolve");
  const { default: commonjs } = await import("@rollup/plugin-commonjs");
  const bundled = await bundle({
    input: sources("mjs"),
    plugins: [nodeResolve({ preferBuiltins: true }), commonjs()],
    onLog: (_level, { message }) => warn(message),
  });
  await bundled.write({
    dir: out,
    format,
    entryFileNames: `[name].${end}`,
    chunkFileNames: `[name]-[hash].${end}`,
  });
}

async function vite() {
  const { build } = await import("vite");
  await build({
    configFile: false,
    logLevel: "warn",
    ssr: { noExternal: true },
    build: {
      ssr: true,
      outDir: out,
      rollupOptions: { input: entries("mjs"), output: { entryFileNames: "[name].mjs" } },
    },
  });
}

async function tsup() {
  const { build } = await import("tsup");
  await build({ config: false, silent: true, entry: sources("ts"), format: ["esm"], outDir: out });
}

/** esbuild takes the CommonJS form of the SDK otherwise, which requires Node's modules. */
const esModules = { mainFields: ["module", "main"] };

const ways = {
  "esbuild ESM": () => esbuild("esm", "mjs", esModules),
  "esbuild CommonJS": () => esbuild("cjs", "cjs"),
  "webpack ESM": () => webpack("mjs", "mjs", true),
  "webpack CommonJS": () => webpack("cjs", "cjs", false),
  "rollup ESM": () => rollup("es", "mjs"),
  "rollup CommonJS": () => rollup("cjs", "cjs"),
  "Vite SSR": vite,
  tsup,
};

await ways[way]();
