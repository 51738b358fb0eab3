/**
 * One implementation, in CommonJS, so that a process which loads the package both ways has one copy of it. Beside each
 * entry an ES module gives the same exports by name. Comments are in the types. What no entry reaches is left out.
 *
 * The command is one file, with the small packages that only the command uses inlined; it requires the other rooms. Beside
 * it is the viewer: one page, with its script and its styles inside.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, posix, relative, resolve, sep } from "node:path";
import { build } from "esbuild";

const require = createRequire(import.meta.url);
const out = "build";
const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
const compile = (...options) =>
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", out, ...options], {
    stdio: "inherit",
  });
const { exports, bin, version } = JSON.parse(readFileSync("package.json", "utf8"));
const [command] = Object.values(bin);
/** Names of the entries, without the end of the file name. */
const entries = Object.values(exports)
  .filter((target) => typeof target === "object")
  .map(({ require: { default: file } }) => file.slice(`./${out}/`.length, -".js".length));

/** Licences of the inlined packages. */
const noticesFile = "third-party-licenses.txt";
/** The page of the viewer. */
const viewerFile = "viewer.html";

/**
 * Bundles the command's room into one file: one file starts in a third of the time of thirty. Files of other rooms stay
 * required, so that there is one copy of them.
 */
async function bundleCommand(target) {
  const source = join("src", basename(target).replace(/\.js$/, ".ts"));
  const room = resolve("src", basename(target, ".js")) + sep;
  const otherRooms = {
    name: "other-rooms",
    setup({ onResolve }) {
      onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir, kind }) => {
        const file = resolve(resolveDir, path);
        if (kind === "entry-point" || file.startsWith(room) || !file.startsWith(resolve("src") + sep))
          return undefined;
        return { path: `./${relative("src", file).split(sep).join("/")}`, external: true };
      });
    },
  };
  const { metafile, outputFiles } = await build({
    entryPoints: [source],
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    legalComments: "none",
    // Without comments; short lines, since Node prints the line of an error.
    minifyWhitespace: true,
    lineLimit: 120,
    charset: "utf8",
    external: ["@opentelemetry/*"],
    define: { packageVersion: JSON.stringify(version), viewerFile: JSON.stringify(viewerFile) },
    plugins: [otherRooms],
  });
  writeFileSync(target, outputFiles[0].text, { mode: 0o755 });
  return packagesIn(metafile);
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

rmSync(out, { recursive: true, force: true });
mkdirSync(out);
writeFileSync(join(out, "package.json"), '{"type":"commonjs"}\n');
compile("--declaration", "false", "--removeComments");
compile("--emitDeclarationOnly");

const inlined = [
  ...new Set([...(await bundleCommand(command)), ...(await buildViewer(join(out, viewerFile)))]),
].sort();

/** Files of the build that the entries import, by their paths in it. */
const reached = new Set();
function reach(path) {
  if (reached.has(path)) return;
  reached.add(path);
  const text = readFileSync(join(out, path), "utf8");
  const end = path.endsWith(".d.ts") ? ".d.ts" : ".js";
  for (const [, file, kind] of text.matchAll(/(?:\bfrom |\bimport\(|\brequire\()"(\.[^"]+)(\.c?js)"/g)) {
    reach(posix.join(posix.dirname(path), file) + (kind === ".js" ? end : kind));
  }
}
for (const entry of entries) for (const end of [".js", ".d.ts"]) reach(entry + end);
reach(basename(command));
for (const path of readdirSync(out, { recursive: true })) {
  const isKept =
    path === "package.json" ||
    path === noticesFile ||
    path === viewerFile ||
    reached.has(path) ||
    statSync(join(out, path)).isDirectory();
  if (!isKept) rmSync(join(out, path));
}

// The entry `register` would trace this program.
process.env.OTEL_SDK_DISABLED = "true";
for (const entry of entries) {
  const names = Object.keys(require(`../${out}/${entry}.js`)).sort();
  writeFileSync(join(out, `${entry}.mjs`), `export { ${names.join(", ")} } from "./${entry}.js";\n`);
  writeFileSync(join(out, `${entry}.d.mts`), `export * from "./${entry}.js";\n`);
}
writeFileSync(join(out, noticesFile), licensesOf(inlined));
