// The AI SDK's mock model with a fixed script, so that the example needs no network and no key. It takes its
// time as a model does, answers with what the tools really returned, and counts a token per four characters.
import { setTimeout as pause } from "node:timers/promises";
import { MockLanguageModelV3 } from "ai/test";
import { historyCommand } from "./tools.mjs";

export function scriptedModel() {
  let cached = 0;
  return new MockLanguageModelV3({
    provider: "scripted",
    modelId: "scripted-1",
    async doGenerate({ prompt }) {
      const content = await answer(prompt);
      const total = tokens(prompt);
      const output = tokens(content);
      const inputTokens = { total, noCache: total - cached, cacheRead: cached, cacheWrite: 0 };
      cached = total;
      await pause(Math.min(900, 300 + 8 * output));
      const toolCalls = content.some(({ type }) => type === "tool-call");
      return {
        content,
        finishReason: toolCalls
          ? { unified: "tool-calls", raw: "tool_use" }
          : { unified: "stop", raw: "end_turn" },
        usage: { inputTokens, outputTokens: { total: output, text: output, reasoning: 0 } },
        warnings: [],
      };
    },
  });
}

/** What the model says next, given everything said so far. */
async function answer(prompt) {
  const asked = prompt.findLastIndex(({ role }) => role === "user");
  const step = prompt.slice(asked).filter(({ role }) => role === "assistant").length;
  if (textOf(prompt[asked]).startsWith("Go on")) {
    return step === 0 ? [call("time_disk_sync", { seconds: 1 })] : [text(verdict(prompt))];
  }
  switch (step) {
    case 0:
      return [
        text("I look at the code first."),
        call("list_files", { directory: "src" }),
        call("read_file", { path: "package.json" }),
      ];
    case 1:
      return [call("run", await historyCommand())];
    case 2:
      return [text("Now the disk, thoroughly."), call("time_disk_sync", { seconds: 60 })];
    default:
      return [text(verdict(prompt))];
  }
}

function verdict(prompt) {
  const { syncs, medianMillis } = resultOf(prompt, "time_disk_sync") ?? {};
  return `Yes. ${syncs} disk syncs, median ${medianMillis} ms.`;
}

function resultOf(prompt, toolName) {
  const parts = prompt.flatMap(({ role, content }) => (role === "tool" ? content : []));
  return parts.findLast((part) => part.toolName === toolName)?.output.value;
}

const text = (words) => ({ type: "text", text: words });
const textOf = ({ content }) => content.map((part) => part.text ?? "").join("");
const tokens = (value) => Math.ceil(JSON.stringify(value).length / 4);

let calls = 0;
const call = (toolName, input) => ({
  type: "tool-call",
  toolCallId: `call_${process.pid}_${++calls}`,
  toolName,
  input: JSON.stringify(input),
});
