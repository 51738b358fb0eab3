/** `prune`: removes old documents. */
import { basename } from "node:path";
import { systemClock } from "../platform/clock.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { runAsync } from "../platform/gensync.js";
import { Ground, onGround } from "../platform/ground.js";
import { SystemLiveness } from "../platform/liveness.js";
import { prune } from "../recovery/retention.js";
import { byteCount, groupedNumber, oneLine, plural } from "../text/display-text.js";
import { byteSize, defineCommand, durationMillis, type Options, UsageError, wholeNumber } from "./command.js";
import { failureReason } from "./failure-reason.js";
import { statOf } from "./file-stat.js";
import { findSessions } from "./session-catalog.js";

const options = {
  "older-than": { value: "<duration>", parse: durationMillis, help: "not written to for so long: 30d, 12h" },
  keep: { value: "<number>", parse: wholeNumber(1), help: "at most so many documents: the newest" },
  "max-bytes": { value: "<size>", parse: byteSize, help: "at most so large together: 500MB, 2GB" },
  "dry-run": { help: "only report what would be removed" },
} as const satisfies Options;

export const pruneCommand = defineCommand({
  usage: "--older-than <duration> | --keep <number> | --max-bytes <size>",
  about:
    "Removes the oldest trace documents until every limit holds. Never removes the files of a session that has a writer, not even of one that died without a recovery, and no file of another program. Names each file that the file system refuses to read or to remove; exit code 1 then.",
  examples: [
    ["prune --older-than 30d --dry-run", "what would be removed"],
    ["prune --keep 500 --max-bytes 2GB", "remove the oldest until both limits hold"],
  ],
  options,
  maxArgs: 0,
  async run({ terminal, dir, json, values }) {
    const { "older-than": age, keep, "max-bytes": bytes, "dry-run": dryRun } = values;
    if (age === undefined && keep === undefined && bytes === undefined)
      throw new UsageError("prune needs a limit: --older-than, --keep or --max-bytes");
    for (const [name, limit] of [
      ["older-than", age],
      ["max-bytes", bytes],
    ] as const)
      if (limit === 0) throw new UsageError(`--${name} 0 would remove everything: give a limit above 0`);
    const found = findSessions(dir);
    const owned = found.filter(({ tokens, unnamed }) => tokens.length + unnamed.length > 0);
    const removed: { path: string; bytes: number }[] = [];
    const failures: { path: string; error: string }[] = [];
    const sizes = new Map(found.map(({ path }) => [path, statOf(path)?.size ?? 0]));
    const liveness = new SystemLiveness(nodeFileSystem.sync);
    const limits = { maxFiles: keep ?? 0, maxFileAgeMillis: age ?? 0, maxTotalBytes: bytes ?? 0 };
    const fileSystem = onGround(nodeFileSystem, new Ground());
    await runAsync(
      fileSystem,
      prune({ fileSystem, clock: systemClock, liveness, dryRun }, dir, limits, {
        onRemoved: (path) => removed.push({ path, bytes: sizes.get(path) ?? 0 }),
        onKept: ({ path, refused, error }) =>
          failures.push({ path, error: `cannot be ${refused}: ${failureReason(error)}` }),
      }),
    );
    const code = failures.length > 0 ? 1 : 0;
    const total = removed.reduce((sum, one) => sum + one.bytes, 0);
    const held = owned.map(({ path }) => path);
    if (json) {
      terminal.printJson("prune/1", { dryRun, removed, bytes: total, held, failures });
      return code;
    }
    for (const one of removed) terminal.print(`${oneLine(basename(one.path))}  ${byteCount(one.bytes)}`);
    const { colors } = terminal;
    for (const { path, error } of failures)
      terminal.note(`${colors.red("failed:")} ${oneLine(basename(path))}: ${error}`);
    const failed = failures.length > 0 ? `; ${groupedNumber(failures.length)} failed` : "";
    const kept = held.length > 0 ? `; ${plural(held.length, "session")} with side files left alone` : "";
    terminal.note(
      colors.dim(
        `${plural(removed.length, "document")} ${dryRun ? "would be " : ""}removed, ${byteCount(total)}${kept}${failed}`,
      ),
    );
    return code;
  },
});
