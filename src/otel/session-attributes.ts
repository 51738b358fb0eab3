/**
 * The attributes that name the session of a span: the only list of their keys.
 */
import { shownValue } from "../platform/errors.js";
import { Diagnostics } from "./diagnostics.js";
import { ATTR_GEN_AI_CONVERSATION_ID, ATTR_SESSION_ID } from "./semantic-conventions.js";

/** In order of precedence. */
const sessionKeys: readonly string[] = [ATTR_SESSION_ID, ATTR_GEN_AI_CONVERSATION_ID];

const diagnostics = new Diagnostics("session id", { isDeferred: true });
const reportedPlaces = new Set<string>();

/**
 * A session id as text: a number is accepted, since databases number their rows. `undefined` for an absent or empty id. For
 * any other value `undefined`, too, with one line in the log per process and place.
 *
 * @param place for the message: an attribute, an option or a function
 */
export function sessionIdText(value: unknown, place: string): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (value === undefined || value === null) return undefined;
  if (typeof value === "bigint" || Number.isFinite(value)) return String(value);
  if (!reportedPlaces.has(place)) {
    reportedPlaces.add(place);
    const shown = shownValue(value);
    diagnostics.log("warn", `${place} is ${shown}, which names no session; it must be a text or a number`);
  }
  return undefined;
}

/** A span as far as it is read here. */
interface Attributed {
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
}

/** The session that a span's attributes name. An attribute that cannot be read, or is neither text nor number, names none. */
export function sessionIdOf(span: Attributed | undefined): string | undefined {
  for (const key of sessionKeys) {
    try {
      const id = sessionIdText(span?.attributes?.[key], key);
      if (id !== undefined) return id;
    } catch {
      // The other key may be readable; without any the span still has a trace.
    }
  }
  return undefined;
}

/** Whether a session attribute has any value, even one that names no session. */
export const hasSessionAttribute = ({ attributes }: Attributed): boolean =>
  sessionKeys.some((key) => attributes?.[key] !== undefined && attributes[key] !== null);
