/** The pages that people read, and a project that has installed the package to run their programs. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const packageName = "opentelemetry-exporter-crash-safe-file";

const markdownIn = (dir: string) =>
  readdirSync(dir)
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(dir, name))
    .sort();

/** The pages at the top, in `docs` and in `docs/recipes`, the README first. */
export const pages: readonly { readonly path: string; readonly text: string }[] = [
  "README.md",
  ...markdownIn(".").filter((path) => path !== "README.md"),
  ...markdownIn("docs"),
  ...markdownIn("docs/recipes"),
].map((path) => ({ path, text: readFileSync(path, "utf8") }));

/** All blocks of a language, in the order of the pages. */
export const blocks = (language: string): readonly { readonly path: string; readonly block: string }[] =>
  pages.flatMap(({ path, text }) =>
    [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map((match) => ({
      path,
      block: match[1] ?? "",
    })),
  );

/** An empty project that has installed this package, as npm links it. */
export function projectWithPackage(): string {
  const project = mkdtempSync(join(tmpdir(), "pages-"));
  mkdirSync(join(project, "node_modules"));
  symlinkSync(resolve("."), join(project, "node_modules", packageName));
  for (const name of ["@opentelemetry", "@types"])
    symlinkSync(resolve("node_modules", name), join(project, "node_modules", name));
  writeFileSync(join(project, "package.json"), '{"type":"module"}');
  return project;
}

/** Runs a program to its end. Never rejects. */
export function run(
  cwd: string,
  command: string,
  args: readonly string[],
): Promise<{ code: unknown; output: string }> {
  return new Promise((done) =>
    execFile(command, args, { cwd }, (error, stdout, stderr) =>
      done({ code: error ? (error.code ?? error.signal) : 0, output: stdout + stderr }),
    ),
  );
}
