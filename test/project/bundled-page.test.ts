/** The program of docs/sessions.md that ships as one file: bundled as the page says, it records where no package is. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { afterEach, beforeEach, expect, test } from "vitest";

const section =
  /^## In one bundled file\n(.*?)^See also/ms.exec(readFileSync("docs/sessions.md", "utf8"))?.[1] ?? "";
const program = /^```js\n(.*?)^```$/ms.exec(section)?.[1] ?? "";
const name = "opentelemetry-exporter-crash-safe-file";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bundled-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function bundled(source: string): Promise<string> {
  const outfile = join(dir, "agent.mjs");
  await build({
    stdin: { contents: source, resolveDir: resolve(".") },
    bundle: true,
    platform: "node",
    format: "esm",
    mainFields: ["module", "main"],
    outfile,
    alias: { [`${name}/session`]: resolve("dist/session.mjs"), [name]: resolve("dist/index.mjs") },
    logLevel: "silent",
  });
  return outfile;
}

const run = (file: string) =>
  execFileSync(process.execPath, [file], { cwd: dir, encoding: "utf8", stdio: "pipe" });

test("the program of the page runs alone, and records", async () => {
  expect(section).toContain("--main-fields=module,main");
  run(await bundled(program));
  const { spans, summary } = JSON.parse(readFileSync(join(dir, "traces/ses_bundled.json"), "utf8"));
  expect(summary).toMatchObject({ status: "completed", totalToolCalls: 1 });
  expect(spans.filter(({ kind }: { kind: string }) => kind === "tool")).toMatchObject([{ name: "ls" }]);
});
