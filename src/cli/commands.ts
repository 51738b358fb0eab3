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
  postmortem: {
    summary: "what a session was doing when it died, and what is undone",
    load: async () => (await import("./postmortem-command.js")).postmortemCommand,
  },
  verify: {
    summary: "whether files are whole, and what is wrong where",
    load: async () => (await import("./verify-command.js")).verifyCommand,
  },
};
