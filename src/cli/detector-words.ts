/** What detected the end of a session, in words. Documents hold the short names that readers of the format know. */
import { oneLine } from "../text/display-text.js";

const words: Readonly<Record<string, string>> = {
  exit: "the exit of the process",
  "process gone": "its process was gone",
  "lease expired": "the lease of its writer had expired",
  uncaughtException: "an uncaught exception",
};

/**
 * The stored name of a detector in words. Every name that is neither in the table above nor a signal is the class of an
 * uncaught exception, such as `TypeError`.
 */
export function detectorWords(detector: string): string {
  if (/^SIG[A-Z0-9]+$/.test(detector)) return `the signal ${detector}`;
  return Object.hasOwn(words, detector)
    ? (words[detector] as string)
    : `an uncaught exception (${oneLine(detector)})`;
}

const uncaught = "Uncaught exception: ";

/** The error of a crash, and what detected the crash where the error does not say so. */
export function crashReason(error: string | undefined, detector: string | undefined): string {
  if (!detector) return error ?? "";
  // As Node prints it: `Uncaught TypeError: …`.
  if (error?.startsWith(uncaught) && /^an uncaught exception/.test(detectorWords(detector)))
    return detector === "uncaughtException" ? error : `Uncaught ${detector}: ${error.slice(uncaught.length)}`;
  if (error?.includes(detector)) return error;
  return [error?.replace(/\.$/, ""), `detected: ${detectorWords(detector)}`].filter(Boolean).join("; ");
}
