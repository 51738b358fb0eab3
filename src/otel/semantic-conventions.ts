/**
 * Attribute keys that this package writes and reads.
 *
 * The GenAI keys are our own copies: the convention is in development, and the constants of
 * `@opentelemetry/semantic-conventions` for it are deprecated. What no convention covers lives in the
 * `crash_safe_file` namespace.
 */

/** The instrumentation scope of session tracers: spans of this scope carry the attributes of `to-attributes.ts`. */
export const SESSION_SCOPE = "opentelemetry-exporter-crash-safe-file";

export const ATTR_SESSION_ID = "session.id";
export const ATTR_USER_ID = "user.id";
export const ATTR_ERROR_TYPE = "error.type";
export const ATTR_EXCEPTION_MESSAGE = "exception.message";
export const ATTR_EXCEPTION_TYPE = "exception.type";
export const ATTR_SERVICE_VERSION = "service.version";
export const ATTR_DEPLOYMENT_ENVIRONMENT_NAME = "deployment.environment.name";

export const ATTR_GEN_AI_CONVERSATION_ID = "gen_ai.conversation.id";
export const ATTR_GEN_AI_OPERATION_NAME = "gen_ai.operation.name";
export const ATTR_GEN_AI_PROVIDER_NAME = "gen_ai.provider.name";
export const ATTR_GEN_AI_REQUEST_MODEL = "gen_ai.request.model";
export const ATTR_GEN_AI_RESPONSE_MODEL = "gen_ai.response.model";
export const ATTR_GEN_AI_RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons";
export const ATTR_GEN_AI_AGENT_NAME = "gen_ai.agent.name";
export const ATTR_GEN_AI_TOOL_NAME = "gen_ai.tool.name";
export const ATTR_GEN_AI_TOOL_TYPE = "gen_ai.tool.type";
export const ATTR_GEN_AI_TOOL_CALL_ID = "gen_ai.tool.call.id";
export const ATTR_GEN_AI_TOOL_CALL_ARGUMENTS = "gen_ai.tool.call.arguments";
export const ATTR_GEN_AI_TOOL_CALL_RESULT = "gen_ai.tool.call.result";
/** Includes cached tokens, unlike `tokens.input` in a trace document. */
export const ATTR_GEN_AI_USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens";
/** Includes reasoning tokens, unlike `tokens.output` in a trace document. */
export const ATTR_GEN_AI_USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens";
export const ATTR_GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS = "gen_ai.usage.cache_read.input_tokens";
export const ATTR_GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS = "gen_ai.usage.cache_creation.input_tokens";
export const ATTR_GEN_AI_USAGE_REASONING_OUTPUT_TOKENS = "gen_ai.usage.reasoning.output_tokens";
export const ATTR_GEN_AI_INPUT_MESSAGES = "gen_ai.input.messages";
export const ATTR_GEN_AI_OUTPUT_MESSAGES = "gen_ai.output.messages";

/**
 * What the span stands for in the document: `generation`, `tool`, `user-message`, `text` or `span`; `turn` for the
 * root of one turn, which stands for none.
 */
export const ATTR_CRASH_SAFE_FILE_KIND = "crash_safe_file.kind";
/** Cost of a generation, in the currency the caller counts in. */
export const ATTR_CRASH_SAFE_FILE_COST = "crash_safe_file.cost";
/** The model as the document names it, often `<provider>/<model>`. */
export const ATTR_CRASH_SAFE_FILE_MODEL_ID = "crash_safe_file.model_id";
export const ATTR_CRASH_SAFE_FILE_VARIANT = "crash_safe_file.variant";
/** Milliseconds a tool ran by its own account. */
export const ATTR_CRASH_SAFE_FILE_TOOL_DURATION = "crash_safe_file.tool.duration_ms";
/** `true`: closed by a crash, recovery or resume, not by the program. */
export const ATTR_CRASH_SAFE_FILE_INTERRUPTED = "crash_safe_file.interrupted";
/** Title of the session. */
export const ATTR_CRASH_SAFE_FILE_TITLE = "crash_safe_file.title";
/** Tags of the session, a string array. */
export const ATTR_CRASH_SAFE_FILE_TAGS = "crash_safe_file.tags";
/** Number of the turn, from 1; on the turn itself and on the spans that stand directly under it. */
export const ATTR_CRASH_SAFE_FILE_TURN_INDEX = "crash_safe_file.turn.index";
/** Name of the span in the document, where its OpenTelemetry name is another. */
export const ATTR_CRASH_SAFE_FILE_NAME = "crash_safe_file.name";
/** Input and output of a span for which no convention has a key. */
export const ATTR_CRASH_SAFE_FILE_INPUT = "crash_safe_file.input";
export const ATTR_CRASH_SAFE_FILE_OUTPUT = "crash_safe_file.output";
/** Keys of attributes whose value is JSON text, because OpenTelemetry 2.x carries nothing nested and no null. */
export const ATTR_CRASH_SAFE_FILE_JSON_KEYS = "crash_safe_file.json_keys";
/** Epoch milliseconds as the caller gave them, where the span's own time could not be that. */
export const ATTR_CRASH_SAFE_FILE_START_TIME = "crash_safe_file.start_time_ms";
export const ATTR_CRASH_SAFE_FILE_END_TIME = "crash_safe_file.end_time_ms";
/** An error's message that a status cannot carry: an empty one, or one that is not valid Unicode. */
export const ATTR_CRASH_SAFE_FILE_STATUS_MESSAGE = "crash_safe_file.status_message";
/** Token counts as the document has them, where the conventions' sums do not give them back. */
export const ATTR_CRASH_SAFE_FILE_TOKENS = "crash_safe_file.tokens";
/** The session that started this one, on the turns and on the session span of a subagent. */
export const ATTR_CRASH_SAFE_FILE_PARENT_SESSION_ID = "crash_safe_file.parent_session.id";
/** The span of that session that started this one, on the session span. */
export const ATTR_CRASH_SAFE_FILE_PARENT_SPAN_ID = "crash_safe_file.parent_session.span_id";
/** Before the key of a caller's own attribute that would be mistaken for one of these. */
export const ATTR_CRASH_SAFE_FILE_ATTRIBUTE = "crash_safe_file.attribute.";
/** What the session was asked at its beginning. */
export const ATTR_CRASH_SAFE_FILE_PROMPT = "crash_safe_file.prompt";
/** The model as the chat front end names it. */
export const ATTR_CRASH_SAFE_FILE_OWUI_MODEL = "crash_safe_file.owui_model";
