/** The paths that callers give: texts, and `file:` URLs as text or object. */
import { homedir } from "node:os";
import { fileURLToPath } from "node:url";
import { invalidOption } from "./errors.js";
import type { OptionCheck } from "./options.js";

/**
 * A path: a text, in which `~/` at the beginning is the home directory of the user; a `file:` URL as text; or a `URL`
 * object of one. A relative path is relative to the working directory of the process.
 */
export type PathLike = string | { readonly href: string };

const allowed = "a path";

/** The path that a value stands for; `undefined` for a value that stands for none. Never throws. */
export function pathOf(given: unknown): string | undefined {
  try {
    const path =
      typeof given === "string" ? pathOfText(given) : pathOfUrl((given as { href?: unknown }).href);
    return path?.includes("\0") ? undefined : path;
  } catch {
    // No URL, a URL with a host, or a user without a home directory.
    return undefined;
  }
}

/** The check of an option that is a path. */
export const isPath: OptionCheck<PathLike> = {
  allowed,
  accepts: (value): value is PathLike => pathOf(value) !== undefined,
};

/**
 * The path that an argument stands for.
 *
 * @throws CrashSafeFileError `INVALID_OPTION`, naming component, argument, value and what is allowed
 */
export function mustBePath(component: string, name: string, given: unknown): string {
  const path = pathOf(given);
  if (path === undefined) throw invalidOption(component, name, given, allowed);
  return path;
}

function pathOfText(text: string): string | undefined {
  if (text.trim() === "") return undefined;
  if (/^file:/i.test(text)) return fileURLToPath(text);
  // Two letters at least: `C://traces` is a path on Windows.
  if (/^[a-z][a-z\d+.-]+:\/\//i.test(text)) return undefined;
  if (!text.startsWith("~")) return text;
  // A shell replaces `~name` by the home directory of another user, which a program cannot look up.
  return text === "~" || /^~[/\\]/.test(text) ? homedir() + text.slice(1) : undefined;
}

const pathOfUrl = (href: unknown): string | undefined =>
  typeof href === "string" && /^file:/i.test(href) ? fileURLToPath(href) : undefined;
