/** A stage for several writers of one session, made anew for each test of a file. */
import { afterEach, beforeEach } from "vitest";
import type { TraceFile } from "../../src/format/trace-file.js";
import { systemClock } from "../../src/platform/clock.js";
import { type FileSystem, nodeFileSystem } from "../../src/platform/file-system.js";
import type { Liveness } from "../../src/platform/liveness.js";
import { oneAttempt, type RetryPolicy, recoverDirectory } from "../../src/recovery/recover-directory.js";
import type { RecoveryReport } from "../../src/recovery/recover-traces.js";
import { type Actor, Stage } from "./session-stage.js";

export class TwinStage {
  stage = new Stage();
  #actors: Actor[] = [];

  /** Sets itself up for each test of the file that calls this. */
  constructor() {
    this.stage.remove();
    beforeEach(() => {
      this.stage = new Stage();
      this.#actors = [];
    });
    afterEach(async () => {
      await Promise.allSettled(this.#actors.map(({ processor }) => processor.shutdown()));
      this.stage.remove();
    });
  }

  get files(): string[] {
    return this.stage.files;
  }

  /** A process, as far as the library can see. It ends with the test. */
  actor(...given: Parameters<Stage["actor"]>): Actor {
    const one = this.stage.actor(...given);
    this.#actors.push(one);
    return one;
  }

  document(id: string): TraceFile {
    return this.stage.document(id);
  }

  /** Declares every process so far dead. */
  bury(): void {
    this.stage.liveness.bury();
  }

  recover(
    liveness: Liveness = this.stage.liveness,
    fileSystem: FileSystem = nodeFileSystem,
    retry: RetryPolicy = oneAttempt,
  ): Promise<RecoveryReport> {
    return recoverDirectory({ fileSystem, liveness, clock: systemClock }, this.stage.dir, retry);
  }

  /** Reports every owner of a token so far as dead, alive or not. */
  wrongVerdicts(): Liveness {
    const held = new Set(this.stage.liveness.tokens);
    return {
      newToken: () => this.stage.liveness.newToken(),
      verdict: (token) => (held.has(token) ? "dead" : "alive"),
    };
  }
}

/** File times lag behind the clock by up to a tick, and a death that close to an end counts as a crash. */
export function passTick(): void {
  const from = Date.now();
  while (Date.now() < from + 25);
}
