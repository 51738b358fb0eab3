/**
 * Makes two directories.
 *
 * `dist` is the package: ES modules, and the same files in CommonJS, with types beside the entries. Parts that several
 * entries share are in files of their own, so that each entry loads a few files: a file for each source took three times as
 * long. The command is one file, with the small packages that only the command uses inlined. Beside the command is the
 * viewer: one page, with its script and its styles inside.
 *
 * `build` has a file in CommonJS for each source, for tests that load or break one of them.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, posix, relative, sep } from "node:path";
import { build, transform } from "esbuild";

const require = createRequire(import.meta.url);
const out = "build";
const packed = "dist";
const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
const compile = (...options) =>
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json", ...options], {
    stdio: "inherit",
  });
const { name: packageName, exports, bin, version } = JSON.parse(readFileSync("package.json", "utf8"));
const [command] = Object.values(bin);
/** Names of the entries, without the end of the file name. */
const entries = Object.values(exports)
  .filter((target) => typeof target === "object")
  .map(({ require: { default: file } }) => file.slice(`./${packed}/`.length, -".js".length));

/** Licences of the inlined packages. */
const noticesFile = "third-party-licenses.txt";
/** The page of the viewer. */
const viewerFile = "viewer.html";

/** What all bundles of the package have in common. */
const bundled = {
  bundle: true,
  write: false,
  metafile: true,
  platform: "node",
  target: "node20",
  legalComments: "none",
  minifySyntax: true,
  external: ["@opentelemetry/*"],
};

/** Lines end, since Node prints the line of an error; the end of a line costs bytes of the package. */
const lineLimit = 6_000;

/**
 * JavaScript as it is shipped. All characters are ASCII: with one other character, V8 takes two bytes for each of a file.
 * Functions, classes and methods keep the names that stack traces show; only names inside of functions are short. A call of
 * `eval` makes esbuild keep the names around it, and is removed again.
 */
async function shipped(script) {
  const { platform, target } = bundled;
  const { code } = await transform(`${script}\ntry { eval() } catch {}`, {
    platform,
    target,
    minify: true,
    lineLimit,
    logLevel: "error",
  });
  const at = code.lastIndexOf("try{");
  if (code.slice(at).replace(/\s/g, "") !== "try{eval()}catch{}") throw new Error("esbuild moved the call");
  return `${code.slice(0, at)}\n`;
}

const conventions = "src/otel/semantic-conventions.ts";

/** The keys of the conventions in the place of their names: top-level names stay long, and the keys are used 400 times. */
function withKeys() {
  const keys = new Map(
    [...readFileSync(conventions, "utf8").matchAll(/^export const (ATTR_\w+) =\s+("[^"]+");/gm)].map(
      ([, name, key]) => [name, key],
    ),
  );
  return {
    name: "with-keys",
    setup({ onLoad }) {
      onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
        const source = readFileSync(path, "utf8");
        if (!source.includes("ATTR_") || path.endsWith(conventions)) return undefined;
        // Imports and exports have names.
        const named = /^(?:import\b|export [{*])[^;]*;|\bATTR_\w+/gm;
        return { contents: source.replace(named, (name) => keys.get(name) ?? name), loader: "ts" };
      });
    },
  };
}

/** Sources in CommonJS are files of their own: bundlers of users read each `require` in them as it is written. */
const filesInCommonJs = {
  name: "files-in-commonjs",
  setup({ onResolve }) {
    onResolve({ filter: /^\..*\.cjs$/ }, ({ path }) => ({
      path: `./${basename(path, ".cjs")}.mjs`,
      external: true,
    }));
  },
};

/** Writes an ES module of the package, and beside it the same in CommonJS. */
async function writeBothForms(name, script) {
  writeFileSync(join(packed, `${name}.mjs`), await shipped(script));
  const { platform, target } = bundled;
  const define = { "import.meta.url": "__filename" };
  const { code } = await transform(script, { platform, target, format: "cjs", define });
  const inCommonJs = code.replace(/\brequire\("(\.\/[^"]+)\.mjs"\)/g, 'require("$1.js")');
  writeFileSync(join(packed, `${name}.js`), await shipped(inCommonJs));
}

/** Bytes of a part from which on its two forms share its code: a file more takes half a millisecond to load. */
const sharedFrom = 30_000;

/**
 * Writes a part as an ES module and in CommonJS that share a third file: its code, as a function of what the part imports.
 * That file has no `import` and no `require`, so it is an ES module for Node and for bundlers, and a script for Jest. The
 * package has the code once, which makes it 110 KB smaller, and leaves room for its pages. Node 20.19 and 22.12 can `require`
 * an ES module; importing a CommonJS file of this size would take 80 ms, since Node searches it for exports.
 */
async function writeShared(name, script, imports, names) {
  const { target } = bundled;
  const { code } = await transform(script, { platform: "neutral", target, format: "cjs" });
  if (/\bimport\b[.(]/.test(code)) throw new Error(`${name} has an import that is no declaration`);
  const body = await shipped(code.replaceAll(/\brequire\(/g, "load("));
  const part = `globalThis[Symbol.for(${JSON.stringify(`${packageName}/${name}`)})]`;
  // Without the parentheses, or as an arrow function, it would be parsed twice.
  const whole = `${part}=(function(load,module){"use strict";${body.trimEnd()}});\n`;
  writeFileSync(join(packed, `${name}.code.mjs`), whole);

  const paths = [...new Set(imports.map(({ path, external }) => (external ? path : `./${basename(path)}`)))];
  const inCommonJs = (path) => path.replace(/^(\.\/.*)\.mjs$/, "$1.js");
  const listed = (textOf) => paths.map((path, at) => `${JSON.stringify(path)}:${textOf(path, at)}`).join();
  // The default export of a module of Node is the object that instrumentations and tests change.
  const bindingOf = (path, at) => (path.startsWith("node:") ? `m${at}` : `*as m${at}`);
  writeFileSync(
    join(packed, `${name}.mjs`),
    [
      ...paths.map((path, at) => `import ${bindingOf(path, at)} from${JSON.stringify(path)};`),
      `import"./${name}.code.mjs";`,
      `const modules={${listed((_, at) => `m${at}`)}},part={};`,
      `${part}((path)=>modules[path],part);`,
      `export const{${names.join()}}=part.exports;\n`,
    ].join("\n"),
  );
  writeFileSync(
    join(packed, `${name}.js`),
    [
      `"use strict";require("./${name}.code.mjs");`,
      `const modules={${listed((path) => `require(${JSON.stringify(inCommonJs(path))})`)}};`,
      `${part}((path)=>modules[path],module);\n`,
    ].join("\n"),
  );
}

/** Whether a source needs the API of OpenTelemetry, which some commands do without. */
function needsApi(inputs, source, seen = new Set()) {
  if (seen.has(source)) return false;
  seen.add(source);
  return (inputs[source]?.imports ?? []).some(
    ({ path }) => path.startsWith("@opentelemetry/") || needsApi(inputs, path, seen),
  );
}

/** Entries that a part of the command holds as a whole: fewer files have what several entries and a part share. */
const entriesOf = (part) => (part === "command-parts" ? ["reader"] : ["index", "session"]);

/**
 * Writes the entries, what several of them share once each, and `parts` of the command: names of files, with the sources
 * whose exports each gives. Returns the names that each file exports.
 */
async function bundleEntries(parts) {
  const filesOfParts = {
    name: "files-of-parts",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^part:/ }, ({ path }) => ({
        path: path.slice("part:".length),
        namespace: "part",
      }));
      onLoad({ filter: /./, namespace: "part" }, ({ path }) => ({
        resolveDir: ".",
        contents: [...parts.get(path)]
          .map((source) => {
            const names = Object.keys(require(`../${out}/${source.slice("src/".length, -".ts".length)}.js`));
            return `export { ${names.join(", ")} } from "./${source}";`;
          })
          .concat(entriesOf(path).map((entry) => `export * as ${entry} from "./src/${entry}.ts";`))
          .join("\n"),
      }));
    },
  };
  const { outputFiles, metafile } = await build({
    ...bundled,
    entryPoints: [
      ...entries.map((entry) => ({ in: join("src", `${entry}.ts`), out: entry })),
      ...[...parts.keys()].map((part) => ({ in: `part:${part}`, out: part })),
    ],
    outdir: packed,
    splitting: true,
    format: "esm",
    outExtension: { ".js": ".mjs" },
    plugins: [filesInCommonJs, filesOfParts, withKeys()],
  });
  const namesOf = new Map();
  for (const { path, text } of outputFiles) {
    const name = basename(path, ".mjs");
    const { imports, exports: names, entryPoint } = metafile.outputs[relative(".", path)];
    namesOf.set(name, names);
    if (entryPoint === undefined && text.length >= sharedFrom) await writeShared(name, text, imports, names);
    else await writeBothForms(name, text);
  }
  for (const part of parts.keys()) rmSync(join(packed, `${part}.mjs`));
  for (const path of readdirSync("src", { recursive: true }).filter((file) => file.endsWith(".cts"))) {
    const { code } = await transform(readFileSync(join("src", path), "utf8"), {
      loader: "ts",
      target: bundled.target,
    });
    await writeBothForms(basename(path, ".cts"), code.replaceAll("__filename", "import.meta.url"));
  }
  return namesOf;
}

/**
 * Bundles the command's room, and the room of its text output, into one file: one file starts in a third of the time of
 * thirty. What they import of other rooms is in two more files, with and without the API of OpenTelemetry. Returns the packages inside, and those files.
 */
async function bundleCommand(target) {
  const parts = new Map();
  const rooms = [basename(target, ".js"), "text"].map((room) => join("src", room) + sep);
  const options = {
    ...bundled,
    entryPoints: [join("src", basename(target).replace(/\.js$/, ".ts"))],
    format: "cjs",
    define: { packageVersion: JSON.stringify(version), viewerFile: JSON.stringify(viewerFile) },
  };
  const { inputs } = (await build(options)).metafile;
  const otherRooms = {
    name: "other-rooms",
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir, kind }) => {
        const source = relative(".", join(resolveDir, path.replace(/\.js$/, ".ts")));
        if (kind === "entry-point" || rooms.some((room) => source.startsWith(room)) || !(source in inputs))
          return undefined;
        const part = needsApi(inputs, source) ? "command-with-api" : "command-parts";
        parts.set(part, (parts.get(part) ?? new Set()).add(source));
        return { path: `./${part}.js`, external: true };
      });
    },
  };
  const { metafile, outputFiles } = await build({
    ...options,
    minify: true,
    lineLimit,
    plugins: [otherRooms],
  });
  writeFileSync(target, outputFiles[0].text, { mode: 0o755 });
  return { packages: packagesIn(metafile), parts };
}

/** Names of the packages in a bundle. */
const packagesIn = ({ inputs }) =>
  Object.keys(inputs).flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []);

/**
 * Makes the page of the viewer. Its policy names its script and its styles by their hashes, allows no connection but to
 * the server that it came from, and refuses every way to turn a text into HTML (`trusted-types`).
 */
async function buildViewer(target) {
  const room = join("src", "viewer");
  const options = { bundle: true, write: false, minify: true, legalComments: "none", charset: "utf8" };
  const script = await build({
    ...options,
    entryPoints: [join(room, "page.tsx")],
    metafile: true,
    format: "iife",
    target: ["chrome123", "firefox120", "safari17.5"],
    jsx: "automatic",
    jsxImportSource: "preact",
  });
  const style = await build({ ...options, entryPoints: [join(room, "page.css")] });
  const [js, css] = [script, style].map(({ outputFiles: [file] }) => file.text.trim());
  // The end of a script element ends it also inside of a text.
  if (/<\/script|<!--/i.test(js) || /<\/style/i.test(css))
    throw new Error("the viewer would end its own element");
  const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  const policy = [
    "default-src 'none'",
    `script-src ${hash(js)}`,
    `style-src ${hash(css)}`,
    "img-src blob: data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
  const parts = { policy, style: `<style>${css}</style>`, script: `<script>${js}</script>` };
  const page = readFileSync(join(room, "page.html"), "utf8").replace(
    /<!--(policy|style|script)-->/g,
    (_, part) => parts[part],
  );
  writeFileSync(target, page);
  return packagesIn(script.metafile);
}

/** The licences of these packages, as they ask for. */
function licensesOf(packages) {
  return packages
    .map((name) => {
      const root = join("node_modules", name);
      const file = readdirSync(root).find((one) => /^licen[cs]e/i.test(one));
      return `${name}\n\n${readFileSync(join(root, file), "utf8").trim()}\n`;
    })
    .join("\n---\n\n");
}

for (const directory of [out, packed]) {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  writeFileSync(join(directory, "package.json"), '{"type":"commonjs"}\n');
}
compile("--outDir", out, "--declaration", "false", "--removeComments");
compile("--outDir", packed, "--emitDeclarationOnly");

/** Declarations that the entries reach, by their paths in the package. */
const reached = new Set();
function reach(path) {
  if (reached.has(path)) return;
  reached.add(path);
  const text = readFileSync(join(packed, path), "utf8");
  for (const [, file, kind] of text.matchAll(/(?:\bfrom |\bimport\()"(\.[^"]+)\.(c?)js"/g)) {
    reach(posix.join(posix.dirname(path), `${file}.d.${kind}ts`));
  }
}
for (const entry of entries) reach(`${entry}.d.ts`);
for (const path of readdirSync(packed, { recursive: true })) {
  if (/\.d\.c?ts$/.test(path) && !reached.has(path.split(sep).join("/"))) rmSync(join(packed, path));
}

const { packages, parts } = await bundleCommand(command);
const namesOf = await bundleEntries(parts);
const inlined = [...packages, ...(await buildViewer(join(packed, viewerFile)))];
writeFileSync(join(packed, noticesFile), licensesOf([...new Set(inlined)].sort()));
for (const entry of entries) {
  writeFileSync(join(packed, `${entry}.d.mts`), `export * from "./${entry}.js";\n`);
  const names = namesOf.get(entry).toSorted().join(", ");
  writeFileSync(join(out, `${entry}.mjs`), `export { ${names} } from "./${entry}.js";\n`);
}
