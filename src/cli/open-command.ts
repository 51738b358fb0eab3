/** `open`: the viewer in a browser, on this machine only. */
import { spawn } from "node:child_process";
import { messageOf } from "../platform/errors.js";
import { CommandError, defineCommand, type Options } from "./command.js";
import { findSessions } from "./session-catalog.js";
import { resolveSession } from "./session-reference.js";
import type { Terminal } from "./terminal.js";
import { ViewerServer } from "./viewer-server.js";

const options = {
  "no-open": { help: "print the address, and open no browser" },
} as const satisfies Options;

export const openCommand = defineCommand({
  usage: "[session]",
  about:
    "Serves the viewer on 127.0.0.1, on a free port, until Ctrl-C: the sessions of a directory, or one session; both follow what happens. The address works once, in one browser.",
  examples: [
    ["open", "all sessions"],
    ["open latest", "the newest one"],
    ["open ses_1 --no-open", "print the address only, for a browser of your choice"],
  ],
  options,
  async run({ terminal, dir, json, args, values }) {
    const found = args[0] === undefined ? undefined : await resolveSession(args[0], dir, terminal.cwd);
    // A directory that cannot be listed shows no sessions; it may come later.
    if (found === undefined) reportUnlisted(dir, terminal);
    const server = new ViewerServer(dir, found, () => terminal.now());
    const url = await server.listen();
    if (json) terminal.printJsonLine("open/1", { url });
    else terminal.print(url);
    if (!values["no-open"] && !json && terminal.isInteractive) {
      await openBrowser(url, terminal.env.BROWSER).catch((error: unknown) => {
        if (!(error instanceof CommandError)) throw error;
        terminal.note(error.message);
      });
    }
    terminal.note(terminal.colors.dim("serving the viewer on this machine; Ctrl-C ends it"));
    await new Promise<void>((resolve) => {
      if (terminal.signal.aborted) resolve();
      terminal.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    server.close();
    return terminal.signal.reason === "SIGINT" ? 130 : 0;
  },
});

function reportUnlisted(dir: string, terminal: Terminal): void {
  try {
    findSessions(dir);
  } catch (error) {
    terminal.note(`no sessions are shown for now: ${messageOf(error)}`);
  }
}

/** Starts the browser of the system, or the program that `BROWSER` names. */
async function openBrowser(url: string, browser: string | undefined): Promise<void> {
  const [command, ...args] =
    browser !== undefined && browser !== ""
      ? [browser, url]
      : process.platform === "darwin"
        ? ["open", url]
        : process.platform === "win32"
          ? ["rundll32", "url.dll,FileProtocolHandler", url]
          : ["xdg-open", url];
  const child = spawn(command as string, args, { stdio: "ignore", detached: true });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", () =>
      reject(new CommandError(`no browser was found: open the address above yourself`)),
    );
  });
  child.unref();
}
