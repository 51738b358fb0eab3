/** The page of the viewer, as the build left it (`scripts/build.mjs`): one file with its script and its styles. */
import { join, resolve } from "node:path";
import { nodeFileSystem } from "../platform/file-system.js";

/** Set by the build: the name of the page beside the command. */
declare const viewerFile: string | undefined;

/** Where a shared page has its data. */
const dataMark = "<!--data-->";

/** The page. Its policy is in a `meta` element, and holds for a file as well. */
export function viewerPage(): string {
  const path = typeof viewerFile === "string" ? join(__dirname, viewerFile) : resolve("dist/viewer.html");
  return nodeFileSystem.sync.readText(path);
}

/** The page in two parts, with room for data between them. */
export function viewerPageParts(): readonly [before: string, after: string] {
  const page = viewerPage();
  const at = page.indexOf(dataMark);
  return [page.slice(0, at), page.slice(at + dataMark.length)];
}
