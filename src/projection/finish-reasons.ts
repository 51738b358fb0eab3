/**
 * Why a model stopped, in the words of the GenAI conventions (`FinishReason` of the JSON schema of output messages). A
 * reason that has no word there stays as it is.
 */
const words: Readonly<Record<string, readonly string[]>> = {
  stop: ["stop", "stopsequence", "endturn", "eos", "complete", "completed", "finishreasonstop"],
  length: ["length", "maxtokens", "maxoutputtokens", "modellength", "modelcontextwindowexceeded"],
  content_filter: [
    "contentfilter",
    "contentfiltered",
    "guardrailintervened",
    "safety",
    "recitation",
    "refusal",
    "blocked",
    "blocklist",
    "prohibitedcontent",
    "spii",
  ],
  tool_call: ["toolcall", "toolcalls", "tooluse", "functioncall", "functioncalls"],
  error: ["error"],
};

const wordOf: ReadonlyMap<string, string> = new Map(
  Object.entries(words).flatMap(([word, known]) => known.map((one): [string, string] => [one, word])),
);

/** `tool-calls`, `tool_use`, `FUNCTION_CALL`: `tool_call`. */
export const normalFinishReason = (reason: string): string =>
  wordOf.get(reason.toLowerCase().replace(/[^a-z]/g, "")) ?? reason;
