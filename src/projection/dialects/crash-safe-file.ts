/** The `crash_safe_file` namespace: keys for what no convention has a key for. */

import {
  ATTR_CRASH_SAFE_FILE_COST,
  ATTR_CRASH_SAFE_FILE_INTERRUPTED,
  ATTR_CRASH_SAFE_FILE_KIND,
  ATTR_CRASH_SAFE_FILE_MODEL_ID,
  ATTR_CRASH_SAFE_FILE_TAGS,
  ATTR_CRASH_SAFE_FILE_TITLE,
  ATTR_CRASH_SAFE_FILE_TOOL_DURATION,
  ATTR_CRASH_SAFE_FILE_VARIANT,
} from "../../otel/semantic-conventions.js";
import type { Dialect, SpanFields, SpanView } from "../dialect.js";

type Kind = NonNullable<SpanFields["kind"]>;
const KINDS: ReadonlySet<string> = new Set<Kind>([
  "generation",
  "embedding",
  "tool",
  "user-message",
  "text",
  "span",
]);

export const crashSafeFile: Dialect = {
  name: "crash-safe-file",
  // Any key may be the only one, such as a cost on another instrumentation's generation, and reading is as fast as a check.
  matches: () => true,
  read(view: SpanView) {
    const kind = view.text(ATTR_CRASH_SAFE_FILE_KIND);
    if (kind !== undefined && KINDS.has(kind)) {
      view.fields.kind = kind as Kind;
      view.attributes.delete(ATTR_CRASH_SAFE_FILE_KIND);
    }
    if (view.attributes.get(ATTR_CRASH_SAFE_FILE_INTERRUPTED) === true) {
      view.fields.interrupted = true;
      view.attributes.delete(ATTR_CRASH_SAFE_FILE_INTERRUPTED);
    }
    view.takeNumber("cost", ATTR_CRASH_SAFE_FILE_COST);
    view.takeNumber("toolDurationMs", ATTR_CRASH_SAFE_FILE_TOOL_DURATION);
    view.takeText("modelId", ATTR_CRASH_SAFE_FILE_MODEL_ID);
    view.takeText("variant", ATTR_CRASH_SAFE_FILE_VARIANT);
    view.hint("title", ATTR_CRASH_SAFE_FILE_TITLE);
    const tags = view.attributes.get(ATTR_CRASH_SAFE_FILE_TAGS);
    if (Array.isArray(tags)) view.fields.tags = tags.filter((tag) => typeof tag === "string");
  },
};
