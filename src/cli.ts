#!/usr/bin/env node
/** The command `crash-safe-file`: looks at traces, checks, recovers, exports and prunes them. */
import { runCommandLine } from "./cli/command-line.js";
import { processTerminal } from "./cli/terminal.js";

void runCommandLine(process.argv.slice(2), processTerminal()).then((code) => {
  // Not `process.exit`, which drops what a pipe has not taken yet.
  process.exitCode = code;
});
