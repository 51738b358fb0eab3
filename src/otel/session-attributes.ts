/**
 * The attributes that name the session of a span: the only list of their keys.
 */
import { ATTR_GEN_AI_CONVERSATION_ID, ATTR_SESSION_ID } from "./semantic-conventions.js";

/** In order of precedence. */
const sessionKeys: readonly string[] = [ATTR_SESSION_ID, ATTR_GEN_AI_CONVERSATION_ID];

/** A span as far as it is read here. */
interface Attributed {
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
}

/** The session that a span's attributes name. An attribute that cannot be read, or is no text, names none. */
export function sessionIdOf(span: Attributed | undefined): string | undefined {
  for (const key of sessionKeys) {
    try {
      const value = span?.attributes?.[key];
      if (typeof value === "string" && value !== "") return value;
    } catch {
      // The other key may be readable; without any the span still has a trace.
    }
  }
  return undefined;
}

/** Whether a session attribute has any value, even one that names no session. */
export const hasSessionAttribute = ({ attributes }: Attributed): boolean =>
  sessionKeys.some((key) => attributes?.[key] !== undefined && attributes[key] !== null);
