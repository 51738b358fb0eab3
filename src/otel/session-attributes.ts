/**
 * The attributes that name the session of a span: the only list of their keys.
 */
import { shownValue, tryOr } from "../platform/errors.js";
import { Diagnostics } from "./diagnostics.js";
import { ATTR_GEN_AI_CONVERSATION_ID, ATTR_SESSION_ID } from "./semantic-conventions.js";

/**
 * In order of precedence: the conventions, then the keys of instrumentations. Each key is on a captured span of the
 * instrumentation (`test/fixtures/spans`), except where a comment names another source.
 */
export const sessionKeys: readonly string[] = [
  ATTR_SESSION_ID,
  ATTR_GEN_AI_CONVERSATION_ID,
  // Vercel AI SDK 5 and 6: `experimental_telemetry: { metadata: { sessionId } }`. AI SDK 7 records no metadata.
  "ai.telemetry.metadata.sessionId",
  "ai.telemetry.metadata.session_id",
  "ai.telemetry.metadata.threadId",
  "ai.telemetry.metadata.conversationId",
  // Traceloop: association properties.
  "traceloop.association.properties.session_id",
  "traceloop.association.properties.thread_id",
  "traceloop.association.properties.conversation_id",
  "traceloop.association.properties.chat_id",
  // Programs without Langfuse's SDK set this key (https://langfuse.com/integrations/native/opentelemetry); the SDK itself
  // sets `session.id`.
  "langfuse.session.id",
  // LangSmith: each of these members of the metadata makes a thread. `langsmith.trace.session_id` is a project.
  "langsmith.metadata.session_id",
  "langsmith.metadata.thread_id",
  "langsmith.metadata.conversation_id",
  "mastra.metadata.sessionId",
  "mastra.metadata.threadId",
  // Google ADK: on model calls; its agents have `gen_ai.conversation.id`.
  "gcp.vertex.agent.session_id",
];

/** OpenInference (LangChain): one attribute with the metadata of a run as JSON text. */
const metadataKey = "metadata";

/** Members of that metadata which name a session, in order of precedence. */
export const metadataMembers: readonly string[] = [
  "session_id",
  "sessionId",
  "thread_id",
  "threadId",
  "conversation_id",
];

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
  logOnce(place, value, namesNone);
  return undefined;
}

const namesNone = "which names no session; it must be a text or a number";

/** Logs a value that is of no use, once per process, place and type. */
export function logOnce(place: string, value: unknown, what: string): void {
  const kind = `${place} ${Array.isArray(value) ? "array" : value === "" ? "empty" : typeof value}`;
  if (reportedPlaces.has(kind)) return;
  reportedPlaces.add(kind);
  diagnostics.log("warn", `${place} is ${shownValue(value)}, ${what}`);
}

/** A span as far as it is read here. */
interface Attributed {
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * The session that a span's attributes name. An attribute that cannot be read, or is neither text nor number, names none.
 *
 * @param ignored a value of `session.id` that does not count
 */
export function sessionIdOf(span: Attributed | undefined, ignored?: string): string | undefined {
  const attributes = tryOr(() => span?.attributes, undefined);
  if (attributes === undefined || attributes === null) return undefined;
  for (const key of sessionKeys) {
    let id: string | undefined;
    try {
      const value = attributes[key];
      // Of twenty keys a span has one at most.
      if (value === undefined || value === null) continue;
      id = sessionIdText(value, key);
      if (value === "") logOnce(key, value, namesNone);
    } catch {
      // The other key may be readable; without any the span still has a trace.
    }
    if (id !== undefined && !(id === ignored && key === ATTR_SESSION_ID)) return id;
  }
  return tryOr(() => sessionInMetadata(attributes[metadataKey]), undefined);
}

function sessionInMetadata(value: unknown): string | undefined {
  // Most metadata names no session: a search of the text costs less than to parse it.
  const isCandidate =
    typeof value === "string" && metadataMembers.some((member) => value.includes(`"${member}"`));
  const metadata: unknown = isCandidate ? JSON.parse(value) : undefined;
  if (typeof metadata !== "object" || metadata === null) return undefined;
  for (const member of metadataMembers) {
    const id = (metadata as Record<string, unknown>)[member];
    if ((typeof id === "string" && id !== "") || Number.isFinite(id)) return String(id);
  }
  return undefined;
}

/** Whether a session attribute has any value, even one that names no session. */
export function hasSessionAttribute({ attributes }: Attributed): boolean {
  if (!attributes) return false;
  for (const key of sessionKeys) {
    const value = attributes[key];
    if (value !== undefined && value !== null) return true;
  }
  return tryOr(() => sessionInMetadata(attributes[metadataKey]), undefined) !== undefined;
}
