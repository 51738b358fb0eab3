/** Installs a project of the matrix and uses it in each of its ways. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { frameworks } from "./frameworks.mjs";
import {
  advised,
  asCommonJs,
  asModule,
  expected,
  reading,
  recording,
  registered,
  traced,
  typing,
} from "./programs.mjs";
import { bundled } from "./projects.mjs";
import { runtimes } from "./runtimes.mjs";

const root = fileURLToPath(new URL("../../", import.meta.url));
const hungMillis = 180_000;

/** Runs a program to its end. Throws its output when it failed. */
function run(cwd, command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    timeout: hungMillis,
  });
  if (error || status !== 0)
    throw new Error(`${command} ${args.join(" ")} ended with ${status ?? error}\n${stdout}${stderr}`);
  return stdout;
}

/** A project with these packages, to which the tarball is added. */
export function install(dir, tarball, { packages, tools = [], provider }) {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "package.json"), '{"name":"matrix-project","private":true,"type":"module"}\n');
  const add = (...args) =>
    execFileSync("npm", ["install", "--no-audit", "--no-fund", ...args], { cwd: dir, stdio: "pipe" });
  // A user has an SDK, and adds the package to it.
  if (provider) add(...packages.map((name) => `@opentelemetry/${name}`));
  // Without peers, too, where the project has no SDK.
  add(tarball, ...tools, ...(provider ? [] : ["--legacy-peer-deps"]));
}

const tracesOf = (dir, way) => join(dir, `traces of ${way}`);

/**
 * Each program is a test file: Jest has a module loader of its own, and keeps what a test prints. Its timers stand still, and
 * jsdom has timers that are numbers.
 */
function inJest(environment) {
  return (dir, { runtime }, texts) => {
    for (const [name, text] of Object.entries(texts)) {
      const program = asCommonJs(text)
        .replaceAll("process.argv.at(-1)", "process.env.TRACES")
        .replaceAll("console.log(", "print(")
        .replace("void main();", "");
      const print = 'const print = (...text) => require("node:fs").writeSync(1, text.join(" ") + "\\n");';
      const run = name === "read" ? "main" : "() => new Promise(() => {})";
      writeFileSync(
        join(dir, `${name}.${environment}.test.cjs`),
        `/** @jest-environment ${environment} */\njest.useFakeTimers();\n${print}\n${program}\ntest("${name}", ${run}, ${hungMillis});\n`,
      );
    }
    const jest = `"${runtimes[runtime]}" node_modules/jest/bin/jest.js --runInBand --silent --testMatch`;
    return (name) => ["sh", "-c", `TRACES="$1" exec ${jest} '**/${name}.${environment}.test.cjs'`, "jest"];
  };
}

/**
 * Records with these permissions. The reader has all of them, and the files are old for it: without the permission to ask for
 * processes, the lease of a writer shows that it is dead.
 */
function inDeno(way, permissions) {
  return (dir, _project, texts) => {
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(dir, `${name}.mjs`), asModule(text));
    const deno = [join(dir, "node_modules/.bin/deno"), "run", "--no-lock", "--node-modules-dir=manual"];
    const traces = tracesOf(dir, way);
    const run = ["env", "DENO_NO_UPDATE_CHECK=1"];
    const aged = ["sh", "-c", 'touch -d "2 minutes ago" "$0"/* && exec "$@"', traces];
    return (name) =>
      name === "record"
        ? [...run, ...deno, ...permissions(dir, traces), "record.mjs"]
        : [...run, ...aged, ...deno, "-A", "read.mjs"];
  };
}

/** Each way prepares the programs and returns how to start one, `record` or `read`. */
const ways = {
  ESM(dir, { runtime }, texts) {
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(dir, `${name}.mjs`), asModule(text));
    return (name) => [runtimes[runtime], `${name}.mjs`];
  },
  CommonJS(dir, { runtime }, texts) {
    for (const [name, text] of Object.entries(texts))
      writeFileSync(join(dir, `${name}.cjs`), asCommonJs(text));
    return (name) => [runtimes[runtime], `${name}.cjs`];
  },
  /** Without code for it: the program uses the API alone. */
  register(dir, { runtime }, { read }) {
    const record = recording({ from: "@opentelemetry/api", name: "trace as api", text: registered });
    writeFileSync(join(dir, "registered.mjs"), asModule(record));
    writeFileSync(join(dir, "read.mjs"), asModule(read));
    const environment = `CRASH_SAFE_FILE_DIR=${tracesOf(dir, "register")}`;
    const preload = ["--import", "opentelemetry-exporter-crash-safe-file/register"];
    return (name) =>
      name === "record"
        ? ["env", environment, runtimes[runtime], ...preload, "registered.mjs"]
        : [runtimes[runtime], "read.mjs"];
  },
  /** Installs what the errors advise, one package after the other. */
  advice(dir, { runtime }, { read }) {
    writeFileSync(join(dir, "advised.mjs"), advised);
    const record = recording({ from: "@opentelemetry/api", name: "trace as api", text: traced });
    writeFileSync(join(dir, "record.mjs"), asModule(record));
    writeFileSync(join(dir, "read.mjs"), asModule(read));
    for (const exporters of ["crash-safe-file", "crash-safe-file,otlp"]) {
      const output = run(dir, runtimes[runtime], ["advised.mjs", exporters]);
      const [install] = /npm install [^`]+/.exec(output) ?? [];
      if (!install) throw new Error(`a package for ${exporters} is missing, and none is advised: ${output}`);
      run(dir, "sh", ["-c", `${install} --no-audit --no-fund`]);
    }
    return (name) => [runtimes[runtime], `${name}.mjs`];
  },
  /**
   * What npm does if `@opentelemetry/core` is a required peer: beside API 1.10 it takes the core that is tagged latest, of
   * SDK 2.x, whose own peer is an older API, and refuses to install. As soon as npm does better, this row fails, and the core
   * can be a peer.
   */
  "core as a peer"(dir, { runtime, packages }) {
    const { dependencies } = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
    const [, tarball] = Object.entries(dependencies).find(([name]) => name.endsWith("crash-safe-file"));
    const project = join(dir, "core as a peer");
    mkdirSync(project);
    writeFileSync(join(project, "package.json"), '{"private":true}\n');
    run(project, "tar", ["xzf", resolve(dir, tarball.replace("file:", ""))]);
    const file = join(project, "package/package.json");
    const ours = JSON.parse(readFileSync(file, "utf8"));
    ours.peerDependencies = { ...ours.peerDependencies, "@opentelemetry/core": ">=2 <4" };
    writeFileSync(file, JSON.stringify(ours));
    const npm = 'npm install --no-audit --no-fund "$@" 2>&1 || true';
    run(project, "sh", ["-c", npm, "sh", ...packages.map((name) => `@opentelemetry/${name}`)]);
    run(project, "npm", ["pack", "--silent", "--ignore-scripts", "./package"]);
    const packed = readdirSync(project).find((name) => name.endsWith(".tgz"));
    const logged = run(project, "sh", ["-c", npm, "sh", `./${packed}`]);
    const refusal =
      /ERESOLVE[\s\S]*npm error peer @opentelemetry\/api@".*<1\.10\.0" from @opentelemetry\/core@2/;
    if (!refusal.test(logged)) throw new Error(`npm logs ${logged}`);
    return (name) => [runtimes[runtime], `${name}.mjs`];
  },
  "TypeScript, nodenext"(dir, { runtime, provider }, texts) {
    const types = provider && { "types.ts": typing(provider.from), "types.cts": typing(provider.from) };
    compile(dir, "nodenext", texts, types, { module: "nodenext" });
    return (name) => [runtimes[runtime], `nodenext/out/${name}.js`];
  },
  "TypeScript, bundler"(dir, { provider }, texts) {
    const types = { "types.ts": typing(provider.from) };
    compile(dir, "bundler", texts, types, { module: "esnext", moduleResolution: "bundler" });
    return (name) => [runtimes.bun, `bundler/out/${name}.js`];
  },
  "Bun script"(dir, _project, texts) {
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(dir, `${name}.ts`), text);
    return (name) => [runtimes.bun, `${name}.ts`];
  },
  "Bun bundle"(dir, _project, texts) {
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(dir, `${name}.ts`), text);
    run(dir, runtimes.bun, ["build", "record.ts", "read.ts", "--target", "bun", "--outdir", "bun bundle"]);
    return (name) => [runtimes.bun, `bun bundle/${name}.js`];
  },
  Deno: inDeno("Deno", () => ["-A"]),
  /** Those of the directory, and what the SDK asks for: neither other variables, nor the host, nor processes. */
  "Deno with named permissions": inDeno("Deno with named permissions", (dir, traces) => [
    "--no-prompt",
    "--allow-env=OTEL_*",
    `--allow-read=${traces},${join(dir, "node_modules")}`,
    `--allow-write=${traces}`,
  ]),
  Jest: inJest("node"),
  "Jest, jsdom": inJest("jsdom"),
  "Bun binary"(dir, _project, texts) {
    for (const [name, text] of Object.entries(texts)) {
      writeFileSync(join(dir, `${name}.ts`), text);
      run(dir, runtimes.bun, ["build", "--compile", `${name}.ts`, "--outfile", `${name}.bin`]);
    }
    return (name) => [join(dir, `${name}.bin`)];
  },
};

for (const bundler of ["turbopack", "webpack"]) {
  /** The program is what an application has in `instrumentation.js`. */
  ways[`Next.js, ${bundler}`] = (dir, { runtime }, { record, read }) => {
    const files = {
      "instrumentation.js":
        'export const register = () => process.env.NEXT_RUNTIME === "nodejs" && import("./record.mjs");',
      "app/layout.js": "export default ({ children }) => <html><body>{children}</body></html>;",
      "app/page.js": "export default () => <p>traced</p>;",
      "record.mjs": asModule(record).replace("process.argv.at(-1)", "process.env.TRACES"),
      "read.mjs": asModule(read),
    };
    mkdirSync(join(dir, "app"), { recursive: true });
    for (const [path, text] of Object.entries(files)) writeFileSync(join(dir, path), text);
    const next = `NEXT_TELEMETRY_DISABLED=1 exec "${runtimes[runtime]}" node_modules/next/dist/bin/next`;
    const logged = run(dir, "sh", ["-c", `${next} build --${bundler} 2>&1`]);
    if (/warn|⚠/i.test(logged)) throw new Error(`the bundler logs ${logged}`);
    return (name) =>
      name === "record"
        ? ["sh", "-c", `TRACES="$1" ${next} start --port 0`, "next"]
        : [runtimes[runtime], "read.mjs"];
  };
}

for (const [way, end] of Object.entries(bundled)) {
  ways[way] = (dir, { runtime }, texts) => {
    cpSync(join(root, "test/matrix/bundlers.mjs"), join(dir, "bundlers.mjs"));
    for (const [name, text] of Object.entries(texts)) {
      writeFileSync(join(dir, `${name}.mjs`), asModule(text));
      writeFileSync(join(dir, `${name}.cjs`), asCommonJs(text));
      writeFileSync(join(dir, `${name}.ts`), text);
    }
    const logged = run(dir, "sh", ["-c", 'exec "$@" 2>&1', "sh", process.execPath, "bundlers.mjs", way, way]);
    if (logged.trim() !== "") throw new Error(`the bundler logs ${logged}`);
    return (name) => [runtimes[runtime], join(way, `${name}.${end}`)];
  };
}

/** Begins the ways of frameworks: other ways have the names of some of them. */
const underRegister = "register, ";

for (const [name, { files, build, start, environment }] of Object.entries(frameworks)) {
  const way = `${underRegister}${name}`;
  ways[way] = async (dir, { runtime }, { read }) => {
    for (const [path, text] of Object.entries({ ...files, "read.mjs": asModule(read) })) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), text, { mode: 0o755 });
    }
    if (build) {
      const command = `NEXT_TELEMETRY_DISABLED=1 exec "${runtimes[runtime]}" ${build.join(" ")} 2>&1`;
      const logged = run(dir, "sh", ["-c", command]);
      if (/warn|⚠/i.test(logged)) throw new Error(`the bundler logs ${logged}`);
    }
    const set = {
      PATH: [dirname(runtimes[runtime]), dirname(runtimes.bun), process.env.PATH].join(":"),
      PORT: await freePort(),
      CRASH_SAFE_FILE_DIR: tracesOf(dir, way),
      NEXT_TELEMETRY_DISABLED: "1",
      ...environment,
    };
    const variables = Object.entries(set).map(([key, value]) => `${key}=${value}`);
    return (program) =>
      program === "record"
        ? ["env", ...variables, "sh", "-c", `exec ${start.join(" ")}`]
        : [runtimes[runtime], "read.mjs"];
  };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

/** Strictly, the declarations of all packages included. */
function compile(dir, name, texts, types, options) {
  const at = join(dir, name);
  mkdirSync(at);
  for (const [file, text] of Object.entries(texts)) writeFileSync(join(at, `${file}.ts`), text);
  for (const [file, text] of Object.entries(types ?? {})) writeFileSync(join(at, file), text);
  const compilerOptions = {
    strict: true,
    skipLibCheck: false,
    exactOptionalPropertyTypes: true,
    target: "es2022",
    lib: ["es2023"],
    types: ["node"],
    typeRoots: [join(root, "node_modules/@types")],
    rootDir: ".",
    outDir: "out",
    ...options,
  };
  writeFileSync(join(at, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts", "*.cts"] }));
  run(at, process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "."]);
}

/**
 * Records, is killed, recovers and reads. Throws what is wrong.
 *
 * @param left a directory that a killed program left, for a project that cannot record
 */
export async function use(dir, project, way, left) {
  const { provider } = project;
  const texts = { ...(provider && { record: recording(provider) }), read: reading };
  const start = await ways[way](dir, project, texts);
  const traces = tracesOf(dir, way);
  if (provider) await recordAndDie(dir, start("record"), traces);
  else cpSync(left, traces, { recursive: true });
  if (left && !existsSync(left)) cpSync(traces, left, { recursive: true });
  const [command, ...args] = start("read");
  const found = JSON.parse(run(dir, command, [...args, traces]));
  const framework = way.startsWith(underRegister) ? frameworks[way.slice(underRegister.length)] : undefined;
  if (framework) checkSpans(found, framework);
  else
    for (const [id, what] of Object.entries(expected)) {
      if (found[id] !== what) throw new Error(`${id}: found "${found[id]}", and not "${what}"`);
    }
}

/** A session of a framework has spans of instrumentations besides. Without a session, one document has all spans. */
function checkSpans(found, { session, spans }) {
  const documents = session === undefined ? Object.values(found) : [found[session] ?? ""];
  const wanted = ["crashed", ...spans];
  if (
    found.failures !== "0" ||
    !documents.some((one) => wanted.every((part) => one.split(", ").includes(part)))
  )
    throw new Error(`found ${JSON.stringify(found)}, and not "${wanted.join(", ")}"`);
}

async function recordAndDie(cwd, [command, ...args], traces) {
  const child = spawn(command, [...args, traces], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  const hung = setTimeout(() => child.kill("SIGTERM"), hungMillis);
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    stderr += chunk;
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    // Next.js prints lines of its own.
    if (line.startsWith("recorded")) child.kill("SIGKILL");
  });
  const [code, signal] = await once(child, "close");
  clearTimeout(hung);
  if (signal !== "SIGKILL")
    throw new Error(`it ended with ${signal ?? code} before it was killed\n${stderr}`);
}
