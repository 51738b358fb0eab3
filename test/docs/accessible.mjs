/** The pages and the API reference, as HTML in Chromium in both themes: axe-core finds nothing serious. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const html = fileURLToPath(new URL("../../build/docs/", import.meta.url));
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** What the theme of typedoc does everywhere: links in the headings of its menus. Nothing that a page could change. */
const rulesOfTheme = { "nested-interactive": { enabled: false } };

/** The pages of people, and one page of each kind of the reference. */
function samples() {
  const pages = readdirSync(html, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".html"),
  );
  const kinds = ["classes", "functions", "interfaces", "types", "variables", "modules"];
  return [
    ...pages.filter((path) => !kinds.includes(path.split("/")[0] ?? "")),
    ...kinds.flatMap((kind) => pages.filter((path) => path.startsWith(`${kind}/`)).slice(0, 1)),
  ].sort();
}

/** Returns the lines about what is wrong; the reason of a skip is printed. `isShort`: one page of six only. */
export async function inaccessible(isShort) {
  if (!existsSync(executablePath)) {
    console.log(`SKIPPED axe over the pages: there is no Chromium at ${executablePath}`);
    return [];
  }
  const { chromium } = await import("playwright-core");
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const browser = await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  const found = [];
  try {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 900 },
      reducedMotion: "reduce",
    });
    const page = await context.newPage();
    const paths = samples().filter((_, at) => !isShort || at % 6 === 0);
    for (const path of paths) {
      await page.goto(pathToFileURL(join(html, path)).href);
      await page.evaluate(axe);
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        const faults = await page.evaluate(async (rules) => {
          const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"], rules });
          return violations
            .filter(({ impact }) => impact === "serious" || impact === "critical")
            .map(
              ({ id, nodes }) =>
                `${id}: ${nodes
                  .map(({ html }) => html.slice(0, 120))
                  .slice(0, 3)
                  .join("  ")}`,
            );
        }, rulesOfTheme);
        found.push(...faults.map((fault) => `${path}, ${colorScheme}: ${fault}`));
      }
    }
    console.log(`axe looked at ${paths.length} pages.`);
  } finally {
    await browser.close();
  }
  return found;
}
