/**
 * Where spans go whose trace names no session.
 */

import { nameStem } from "../format/file-names.js";
import type { UnnamedPolicy, WithoutSession } from "../format/unnamed-policy.js";
import { knownAttributes, unknownService } from "../otel/resource.js";
import type { ReadableSpan } from "../otel/types.js";
import { isoTime } from "../platform/epoch-time.js";
import { tryOr } from "../platform/errors.js";

/** Start of this process: with the process number it names one run of the program. */
const startMillis = Date.now() - process.uptime() * 1_000;

/** Bytes of the service name in the id of the session. The file name is the id then, and ends with what retention looks for. */
const serviceBytes = 80;

/** @internal The policy of one exporter. */
export class SessionPolicy implements UnnamedPolicy {
  readonly withoutSession: WithoutSession;
  #service: string | undefined;

  constructor(withoutSession: WithoutSession) {
    this.withoutSession = withoutSession;
  }

  /** The session of this run of the program: service name, start of the process, and process number. */
  get processSession(): string {
    const started = isoTime(startMillis).replace(/[-:]|\.\d+/g, "");
    const service = nameStem(this.#service ?? unknownService, serviceBytes);
    return `${service}-${started}-${process.pid}`;
  }

  /** The first span without a session gives its service name to the session of the process. */
  learn(span: ReadableSpan): void {
    if (this.#service !== undefined || this.withoutSession !== "process") return;
    const name: unknown = tryOr(() => knownAttributes(span.resource)["service.name"], undefined);
    this.#service = typeof name === "string" && name !== "" ? name : unknownService;
  }
}
