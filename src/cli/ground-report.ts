/** `verify --ground`: what the file system of a directory and this runtime give, and what costs what. */
import { systemClock } from "../platform/clock.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { SystemLiveness } from "../platform/liveness.js";
import { type GroundAnswer, probeGround } from "../recovery/ground-probe.js";
import { oneLine, padEnd, plural, widthOf, wrap } from "../text/display-text.js";
import { CommandError, type ExitCode } from "./command.js";
import type { Terminal } from "./terminal.js";

/** Probes the directory, and prints the answers. */
export async function reportGround(terminal: Terminal, dir: string, json: boolean): Promise<ExitCode> {
  if (!nodeFileSystem.sync.isDirectory(dir))
    throw new CommandError(`${oneLine(dir)} is no directory; --ground needs the directory of the traces`);
  const liveness = new SystemLiveness(nodeFileSystem.sync);
  const answers = await probeGround({ fileSystem: nodeFileSystem, clock: systemClock, liveness }, dir);
  const result = resultOf(answers);
  if (json) terminal.printJson("ground/1", { dir, result, capabilities: answers });
  else {
    terminal.print(...groundLines(answers, terminal));
    terminal.note(terminal.colors.dim(summaries[result](answers.filter(({ isGiven }) => !isGiven).length)));
  }
  return result === "unusable" ? 2 : 0;
}

type Result = "whole" | "reduced" | "unusable";

const resultOf = (answers: readonly GroundAnswer[]): Result => {
  const missing = answers.filter(({ isGiven }) => !isGiven);
  if (missing.some(({ isNeeded }) => isNeeded)) return "unusable";
  return missing.length > 0 ? "reduced" : "whole";
};

const summaries: Readonly<Record<Result, (missing: number) => string>> = {
  whole: () => "everything that sessions use is there",
  reduced: (missing) => `documents are written without ${plural(missing, "thing")}, at the cost named above`,
  unusable: () => "give the traces another directory: --dir, or CRASH_SAFE_FILE_DIR",
};

/** A line for each answer, and below those that are missing what that costs. */
export function groundLines(
  answers: readonly GroundAnswer[],
  { colors, columns }: Pick<Terminal, "colors" | "columns">,
): string[] {
  const width = Math.max(...answers.map(({ what }) => widthOf(what)));
  return answers.flatMap(({ what, isGiven, isNeeded, seen, cost }) => {
    const style = isGiven ? colors.green : isNeeded ? colors.red : colors.yellow;
    const sign = isGiven ? "✓" : isNeeded ? "✗" : "!";
    const line = `${style(sign)} ${padEnd(what, width)}  ${colors.dim(oneLine(seen))}`;
    return [line, ...(cost === undefined ? [] : wrap(cost, columns - 4).map((text) => `    ${text}`))];
  });
}
