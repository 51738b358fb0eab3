/** The commands by name. Each is loaded when it is called: the start of a command does not pay for the others. */
import type { Command } from "./command.js";

interface Entry {
  /** For the list of commands. */
  readonly summary: string;
  load(): Promise<Command>;
}

export const commands: Readonly<Record<string, Entry>> = {
  list: {
    summary: "sessions, newest first",
    load: async () => (await import("./list-command.js")).listCommand,
  },
  show: {
    summary: "what a session did, as a tree on a time axis",
    load: async () => (await import("./show-command.js")).showCommand,
  },
  tail: {
    summary: "follows a session as it happens",
    load: async () => (await import("./tail-command.js")).tailCommand,
  },
  open: {
    summary: "the viewer in a browser, for one session or all",
    load: async () => (await import("./open-command.js")).openCommand,
  },
  postmortem: {
    summary: "what a session was doing when it died, and what is undone",
    load: async () => (await import("./postmortem-command.js")).postmortemCommand,
  },
  stats: {
    summary: "tokens, cost and time by model, day and tool; context, loops, retries",
    load: async () => (await import("./stats-command.js")).statsCommand,
  },
  share: {
    summary: "a session as one HTML file, redacted",
    load: async () => (await import("./share-command.js")).shareCommand,
  },
  export: {
    summary: "sessions as OTLP, Chrome trace, JSON lines or Markdown",
    load: async () => (await import("./export-command.js")).exportCommand,
  },
  verify: {
    summary: "whether files are whole, and what is wrong where",
    load: async () => (await import("./verify-command.js")).verifyCommand,
  },
  recover: {
    summary: "completes the documents of dead processes (writes)",
    load: async () => (await import("./recover-command.js")).recoverCommand,
  },
  replay: {
    summary: "sends what a crash kept from a backend (writes checkpoints)",
    load: async () => (await import("./replay-command.js")).replayCommand,
  },
  prune: {
    summary: "removes old documents (deletes)",
    load: async () => (await import("./prune-command.js")).pruneCommand,
  },
};
