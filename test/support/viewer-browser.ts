/** Chromium with the viewer: the server of `open` or a shared file, and everything that a page complained about. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, expect, onTestFinished } from "vitest";

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Why the tests are skipped; `undefined` where they run. */
export const withoutChromium: string | undefined = faultOfChromium();
if (withoutChromium) console.log(`SKIPPED the viewer: ${withoutChromium}`);

function faultOfChromium(): string | undefined {
  if (!existsSync(executablePath))
    return `there is no Chromium at ${executablePath}; CHROMIUM names another place`;
  const args = ["--headless", "--no-sandbox", "--disable-dev-shm-usage", "--dump-dom", "about:blank"];
  const { status, error } = spawnSync(executablePath, args, { timeout: 120_000 });
  return status === 0 ? undefined : `Chromium does not start here: ${error?.message ?? `status ${status}`}`;
}

const program = resolve("dist/cli.js");
const screenshots = resolve("screenshots");

let browser: Promise<Browser> | undefined;
afterAll(async () => {
  await (await browser)?.close();
});

/** A directory of traces, removed at the end of the test. */
export function traceDirectory(documents: Readonly<Record<string, object | string>> = {}): string {
  const dir = mkdtempSync(join(tmpdir(), "viewer-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  for (const [id, document] of Object.entries(documents))
    writeFileSync(
      join(dir, `${id}.json`),
      typeof document === "string" ? document : JSON.stringify(document),
    );
  return dir;
}

/** Runs the command, and returns what it wrote to stdout. */
export const run = (dir: string, ...args: readonly string[]): string =>
  execFileSync(process.execPath, [program, ...args, "--dir", dir], {
    encoding: "utf8",
    maxBuffer: 1 << 30,
    stdio: ["ignore", "pipe", "ignore"],
  });

export interface Viewing {
  readonly page: Page;
  readonly server: ChildProcess | undefined;
  /** Errors, refusals of the policy, and requests that left the page's origin. */
  readonly complaints: readonly string[];
}

interface Setting {
  readonly width?: number;
  readonly height?: number;
  readonly theme?: "light" | "dark";
}

async function newPage({ width = 1280, height = 800, theme = "light" }: Setting) {
  browser ??= chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const context = await (await browser).newContext({
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion: "reduce",
  });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`error: ${error.stack}`));
  page.on("dialog", (dialog) => complaints.push(`dialog: ${dialog.message()}`));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (!/^(http:\/\/127\.0\.0\.1:|file:|data:|blob:)/.test(request.url())) complaints.push(request.url());
  });
  return { page, complaints };
}

/** `open` with a session, or with none; `hash`: more of the address. */
export async function viewing(dir: string, session = "", setting: Setting = {}): Promise<Viewing> {
  const args = ["open", ...(session ? [session] : []), "--no-open", "--json", "--dir", dir];
  const server = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "ignore"] });
  onTestFinished(() => void server.kill("SIGKILL"));
  const [line] = await once(server.stdout, "data");
  const { url } = JSON.parse(String(line));
  const { page, complaints } = await newPage(setting);
  await page.goto(url);
  return { page, server, complaints };
}

/** A shared file, opened from the disk without a network. */
export async function viewingFile(path: string, setting: Setting = {}): Promise<Viewing> {
  const { page, complaints } = await newPage(setting);
  await page.context().setOffline(true);
  await page.goto(`file://${path}`);
  return { page, server: undefined, complaints };
}

/** Goes to a view by its key, and waits until it is there. */
export async function show(page: Page, view: "overview" | "timeline" | "chat" | "log"): Promise<void> {
  await page.locator(".tabs button").first().waitFor();
  await page.keyboard.press(String(["overview", "timeline", "chat", "log"].indexOf(view) + 1));
  await page.locator(`.body > .${view}`).waitFor();
}

/** P14 Nothing on the page is a word of the program instead of a fact. */
export async function expectTrueWords(page: Page): Promise<void> {
  const text = await page.locator("body").innerText();
  expect(text).not.toMatch(/\bNaN\b|\bundefined\b|\[object |Infinity|Invalid Date/);
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Serious findings of axe-core. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { axe: run } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
    };
    return (await run.run()).violations;
  });
  return found
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 200)} (${nodes.length})`);
}

/** For people, who look at them. */
export async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`) });
}
