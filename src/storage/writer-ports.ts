/**
 * The parts of the machine, and the limits, that a session's writer works with.
 */

import type { AppendFileEvents } from "./append-log.js";
import type { CommitPorts } from "./commit.js";
import type { Durability } from "./durability.js";
import type { PaceLimits } from "./pace.js";

/** What a writer works with. */
export interface WriterPorts extends CommitPorts {
  readonly durability: Durability;
  /** 0: no cap. */
  readonly maxSpans: number;
  readonly pace: PaceLimits;
  readonly events: AppendFileEvents;
}
