/** A directory of traces next to the user's files, which planted symlinks point to. */
import * as fs from "node:fs";
import { join } from "node:path";
import type { TraceFile } from "../../src/format/trace-file.js";
import { recordSession } from "./recorded-session.js";
import { Sandbox } from "./session-host.js";

/** The session `s` of a dead writer. */
export const recorded = await recordSession({ id: "s" });
export const deadToken = recorded.token;
/** A token of another machine: only its age shows that its owner is dead. */
export const unknownToken = deadToken.replace(/^((?:[^-]+-){3})[^-]+/, "$1elsewhere");

/** The targets of the links. */
export const victims = ["a file", "a document of the session", "a directory", "nothing"] as const;

const now = Date.now;

export class OutsideStage extends Sandbox {
  readonly outside = join(this.root, "outside");

  constructor() {
    super();
    fs.mkdirSync(this.traces);
    fs.mkdirSync(this.outside);
  }

  /** Creates the target of a link. Returns its path. */
  makeVictim(kind: (typeof victims)[number]): string {
    const path = join(this.outside, "victim");
    if (kind === "a file") fs.writeFileSync(path, "precious", { mode: 0o644 });
    if (kind === "a document of the session") fs.writeFileSync(path, recorded.published, { mode: 0o644 });
    if (kind === "a directory") {
      fs.mkdirSync(path, { mode: 0o755 });
      // As a home directory, as a lock, and as another directory of traces.
      const traces = ["s.json", `s.json.tmp.${deadToken}.1`, `s.json.${deadToken}.open`];
      for (const name of ["id_rsa", deadToken, unknownToken, ...traces])
        fs.writeFileSync(join(path, name), `precious ${name}`, { mode: 0o644 });
      fs.mkdirSync(join(path, "s.json.lock"));
      fs.writeFileSync(join(path, "s.json.lock", deadToken), "precious");
    }
    return path;
  }

  /** Everything outside, with contents, modes, links and times. */
  look(): string[] {
    const paths = ["", ...(fs.readdirSync(this.outside, { recursive: true }) as string[]).sort()];
    return paths.map((name) => {
      const path = join(this.outside, name);
      const { mode, nlink, mtimeNs, ctimeNs, ino } = fs.lstatSync(path, { bigint: true });
      const content = fs.lstatSync(path).isFile() ? fs.readFileSync(path, "utf8") : "";
      return [name, ino, mode, nlink, mtimeNs, ctimeNs, content].join(" ");
    });
  }

  /** The document of the session `s`. Throws when it is no file. */
  document(): TraceFile {
    const path = join(this.traces, "s.json");
    if (!fs.lstatSync(path).isFile()) throw new Error("the document is no file");
    return JSON.parse(fs.readFileSync(path, "utf8"));
  }

  /** Leases and ages expire. A change time cannot be set, so the clock is set. */
  letHoursPass(): void {
    Date.now = () => now() + 2 * 3_600_000;
  }

  override remove(): void {
    Date.now = now;
    super.remove();
  }
}
