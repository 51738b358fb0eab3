/**
 * Attributes of a foreign span of a document: what no field took, and the fields by the conventions' keys.
 */

import type { TraceSpan } from "../format/trace-file.js";
import {
  ATTR_CRASH_SAFE_FILE_INPUT,
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_NAME,
  ATTR_CRASH_SAFE_FILE_OUTPUT,
  ATTR_CRASH_SAFE_FILE_TOOL_DURATION,
  ATTR_ERROR_TYPE,
  ATTR_GEN_AI_INPUT_MESSAGES,
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_OUTPUT_MESSAGES,
  ATTR_GEN_AI_TOOL_CALL_ARGUMENTS,
  ATTR_GEN_AI_TOOL_CALL_RESULT,
  ATTR_GEN_AI_TOOL_TYPE,
} from "../otel/semantic-conventions.js";
import { recordAttributes } from "../projection/to-attributes.js";
import { describedAttributes } from "./described-span.js";

/**
 * A dialect's own keys are not in the document (`ai.usage.promptTokens`, `llm.model_name`): what they said comes back
 * under the keys of the GenAI conventions. What is left is as it was.
 */
export function foreignAttributes(span: TraceSpan): Record<string, unknown> {
  const { input, output, attributes: _attributes, ...fields } = span;
  const left = describedAttributes(span);
  const restored: Record<string, unknown> = recordAttributes(fields);
  // Written for readers of a session tracer's spans; an instrumentation's has its own name.
  delete restored[ATTR_CRASH_SAFE_FILE_NAME];
  delete restored[ATTR_GEN_AI_TOOL_TYPE];
  delete restored[ATTR_ERROR_TYPE];
  // Told by the operation, or by nothing.
  if (["generation", "tool", "span"].includes(span.kind)) delete restored[ATTR_CRASH_SAFE_FILE_KIND];
  // Computed by the projection where nobody told it.
  if (span.tool?.durationMs === computedDuration(span)) delete restored[ATTR_CRASH_SAFE_FILE_TOOL_DURATION];
  const [inputKey, outputKey] = contentKeys(span, left);
  if (input !== undefined) restored[inputKey] = contentText(input);
  if (output !== undefined) restored[outputKey] = contentText(output);
  return { ...restored, ...left };
}

const computedDuration = ({ startTime, endTime }: TraceSpan): number | undefined =>
  endTime === undefined ? undefined : Math.round((endTime - startTime) * 1000) / 1000;

function contentKeys(span: TraceSpan, left: Readonly<Record<string, unknown>>): [string, string] {
  if (span.kind === "tool") return [ATTR_GEN_AI_TOOL_CALL_ARGUMENTS, ATTR_GEN_AI_TOOL_CALL_RESULT];
  return span.kind === "generation" || left[ATTR_GEN_AI_OPERATION_NAME] !== undefined
    ? [ATTR_GEN_AI_INPUT_MESSAGES, ATTR_GEN_AI_OUTPUT_MESSAGES]
    : [ATTR_CRASH_SAFE_FILE_INPUT, ATTR_CRASH_SAFE_FILE_OUTPUT];
}

/** The projection parsed what was JSON by convention. */
const contentText = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
