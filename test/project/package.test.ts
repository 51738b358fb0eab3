/** The tarball that `npm pack` makes of the build, unpacked in an empty project. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { Script } from "node:vm";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

/**
 * Bytes of the tarball: CONTRIBUTING.md lists where the bytes are. Source maps, pictures, or code that ES modules and
 * CommonJS do not share would break it.
 */
const budget = 400_000;
/** Bytes of the page of the viewer, and compressed, as a server would send it. */
const viewerBudget = { raw: 150_000, compressed: 50_000 };

const name = "opentelemetry-exporter-crash-safe-file";
const project = mkdtempSync(join(tmpdir(), "package-"));
const root = join(project, "node_modules", name);
let packed: number;

beforeAll(() => {
  const npm = ["pack", "--ignore-scripts", "--silent", "--pack-destination", project];
  const tarball = join(project, execFileSync("npm", npm, { encoding: "utf8" }).trim());
  packed = statSync(tarball).size;
  mkdirSync(root, { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "-C", root, "--strip-components=1"]);
  symlinkSync(resolve("node_modules/@opentelemetry"), join(project, "node_modules/@opentelemetry"));
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

interface Manifest {
  readonly exports: Record<
    string,
    string | Record<"import" | "require", { readonly types: string; readonly default: string }>
  >;
  readonly [field: string]: unknown;
}
const read = (path: string) => readFileSync(join(root, path), "utf8");
const manifest = (): Manifest => JSON.parse(read("package.json"));
/** The entries, by the names that users import. */
const entries = () =>
  Object.entries(manifest().exports).flatMap(([path, target]) =>
    typeof target === "string" ? [] : [{ specifier: join(name, path), target }],
  );
/** A file of the package without the line ends inside of texts, which follow a backslash. */
const script = (file: string) => read(`dist/${file}`).replaceAll("\\\n", "");
const files = () =>
  readdirSync(join(root, "dist"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(join(root, "dist"), join(entry.parentPath, entry.name)));

/** Runs an ES module in the project, and returns what it prints. */
function printed(program: string): unknown {
  const flags = [
    "--input-type=module",
    "--eval",
    `import { createRequire } from "node:module";
    const require = createRequire(process.cwd() + "/"); ${program}`,
  ];
  return JSON.parse(execFileSync(process.execPath, flags, { cwd: project, encoding: "utf8" }));
}

describe("the package", () => {
  test("is small", () => {
    expect(packed).toBeLessThan(budget);
  });

  test("has a viewer that is one small page, without an address of another file", () => {
    const page = read("dist/viewer.html");
    expect(page.length).toBeLessThan(viewerBudget.raw);
    expect(gzipSync(page).length).toBeLessThan(viewerBudget.compressed);
    // Not the page in a message of a failed test.
    expect(/<(script|link|img|iframe)[^>]+(src|href)=(?!"data:,")|url\(|@import/.test(page)).toBe(false);
    expect(/unsafe-(inline|eval)/.test(page)).toBe(false);
  });

  test("P10 depends at run time only on OpenTelemetry's api, as a peer", () => {
    const { dependencies, optionalDependencies, bundleDependencies, scripts, ...rest } = manifest();
    expect([dependencies, optionalDependencies, bundleDependencies]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(Object.keys(scripts as object).filter((script) => /install|^prepare$/.test(script))).toEqual([]);
    const optional = Object.keys(rest.peerDependenciesMeta as object);
    const peers = Object.keys(rest.peerDependencies as object);
    expect(peers.filter((peer) => !optional.includes(peer))).toEqual(["@opentelemetry/api"]);
  });

  test("has the build, the pages and the files npm requires, and no more", () => {
    const pages = ["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "UPGRADING.md"];
    expect(readdirSync(root).sort()).toEqual([...pages, "dist", "docs", "package.json"]);
    const docs = (dir: string) =>
      (readdirSync(join(dir, "docs"), { recursive: true }) as string[]).filter((file) => /\.\w+$/.test(file));
    const pictures = docs(".").filter((file) => file.endsWith(".png"));
    expect([...docs(root), ...pictures].sort()).toEqual(docs(".").sort());
    const others = files().filter((file) => !/\.(m?js|cjs|d\.m?ts)$/.test(file));
    expect(others.sort()).toEqual(["package.json", "third-party-licenses.txt", "viewer.html"]);
  });

  test("names its repository, so that relative links work on its page", () => {
    const { repository, homepage, bugs } = manifest();
    const { url } = repository as { url: string };
    const address = /^git\+(https:\/\/github\.com\/[^/]+\/[^/]+)\.git$/.exec(url)?.[1];
    expect(homepage).toBe(`${address}#readme`);
    expect(bugs).toEqual({ url: `${address}/issues` });
  });

  test("exports existing files", () => {
    const { exports, main, types, typesVersions } = manifest();
    expect(Object.keys(exports)).toEqual([
      ".",
      "./reader",
      "./session",
      "./altimate",
      "./register",
      "./package.json",
    ]);
    const targets = JSON.stringify([exports, main, types, typesVersions]).match(/\.\/[^"]+\.[^"]+/g) ?? [];
    expect(targets.length).toBeGreaterThan(20);
    expect(targets.filter((target) => !existsSync(join(root, target)))).toEqual([]);
  });

  test("P10 gives import and require the same names", () => {
    // `register` exports nothing, and would trace this program.
    const named = entries().filter(({ specifier }) => specifier !== `${name}/register`);
    const specifiers = JSON.stringify(named.map(({ specifier }) => specifier));
    const differences = printed(`const found = [];
      for (const name of ${specifiers}) {
        const esm = await import(name), cjs = require(name);
        const names = Object.keys(cjs).sort();
        if (names.length < 3) found.push(name + " is empty");
        if (String(names) !== String(Object.keys(esm).sort())) found.push(name + ": other names");
      }
      console.log(JSON.stringify(found));`);
    expect(differences).toEqual([]);
  });

  test("prevents imports of any other file", () => {
    const inner = files().map((file) => `${name}/dist/${file}`);
    const guesses = [...inner, `${name}/index`, `${name}/storage/commit`, `${name}/reader.js`];
    const reached = printed(`const reached = new Set();
      for (const name of ${JSON.stringify(guesses)}) {
        await import(name).then(() => reached.add(name), () => {});
        try { require(name); reached.add(name); } catch {}
      }
      console.log(JSON.stringify([...reached]));`);
    expect(inner.length).toBeGreaterThan(60);
    // Bun also finds an entry by a name with an extension.
    expect(reached).toEqual(process.versions.bun ? [`${name}/reader.js`] : []);
  });
});

describe("the files of the package", () => {
  /** All files that these files import or require. */
  function reached(from: readonly string[]): { readonly own: Set<string>; readonly packages: Set<string> } {
    const own = new Set(from);
    const packages = new Set<string>();
    for (const file of own) {
      const isType = /\.d\.m?ts$/.test(file);
      for (const [, target = ""] of script(file).matchAll(
        /(?:\bfrom ?|\bimport ?|\bimport\(\s*|\brequire\(\s*)"([^"]+)"/g,
      )) {
        if (target.startsWith("."))
          own.add(join(dirname(file), isType ? target.replace(/\.js$/, ".d.ts") : target));
        else packages.add(target);
      }
    }
    return { own, packages };
  }
  const targets = (kind: "types" | "default") =>
    entries().flatMap(({ target }) =>
      [target.import[kind], target.require[kind]].map((path) => path.slice("./dist/".length)),
    );

  test("are those that the entries and the command reach", () => {
    const { own } = reached([...targets("types"), ...targets("default"), "cli.js"]);
    expect([...own, "package.json", "third-party-licenses.txt", "viewer.html"].sort()).toEqual(
      files().sort(),
    );
  });

  test("P10 no entry reaches the command, and the command needs no package but OpenTelemetry's api", () => {
    expect([...reached(targets("default")).own]).not.toContain("cli.js");
    const { packages } = reached(["cli.js"]);
    expect([...packages].filter((one) => !/^(node:|@opentelemetry\/)/.test(one))).toEqual([]);
  });

  test("have the licences of the packages that command and viewer inline", () => {
    const licences = read("dist/third-party-licenses.txt");
    for (const file of ["fast-string-truncated-width/license", "picocolors/LICENSE", "preact/LICENSE"])
      expect(licences).toContain(readFileSync(`node_modules/${file}`, "utf8").trim());
  });

  test("P10 types need no SDK, and no more than the required peers", () => {
    const { packages } = reached(targets("types"));
    expect([...packages].sort()).toEqual(["@opentelemetry/api"]);
  });

  test("P10 the reader loads no package", () => {
    const { packages } = reached(["reader.js", "reader.mjs"]);
    expect([...packages].filter((one) => !one.startsWith("node:"))).toEqual([]);
  });

  test("P10 have code that both forms share: a script for Jest, an ES module for Node", () => {
    const shared = files().filter((file) => file.endsWith(".code.mjs"));
    expect(shared.length).toBeGreaterThan(2);
    for (const file of shared) {
      expect(reached([file])).toEqual({ own: new Set([file]), packages: new Set() });
      expect(() => new Script(read(`dist/${file}`), { filename: file })).not.toThrow();
      const forms = [".js", ".mjs"].map((end) => reached([file.replace(".code.mjs", end)]).own);
      expect(forms.map((own) => own.has(file))).toEqual([true, true]);
    }
  });

  test("are ASCII: one other character doubles what V8 keeps of a file", () => {
    const scripts = files().filter((file) => /\.m?js$/.test(file));
    const found = scripts.filter((file) => Buffer.byteLength(script(file)) !== script(file).length);
    expect(scripts.length).toBeGreaterThan(20);
    expect(found).toEqual([]);
  });

  test("have comments only in their types", () => {
    const commented = files().filter(
      (file) => /\.[mc]?js$/.test(file) && /^\s*(\/\*|\/\/)/m.test(script(file)),
    );
    expect(commented).toEqual([]);
  });

  test("types of ES modules match their exported names", () => {
    for (const { target } of entries()) {
      const types = read(target.import.types);
      expect(types).toBe(
        `export * from "./${target.require.types.slice("./dist/".length, -".d.ts".length)}.js";\n`,
      );
      expect(dirname(target.import.default)).toBe(dirname(target.require.default));
    }
  });
});
