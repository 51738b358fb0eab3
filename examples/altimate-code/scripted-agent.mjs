// An agent on the AI SDK, whose model has a script: it needs no network and no key. Its tools run processes, and each step,
// text and tool call is logged to a Trace.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { generateText, jsonSchema, stepCountIs, tool } from "ai";
import { MockLanguageModelV3 } from "ai/test";

const run = promisify(execFile);

/** A host that `bun build --compile` made acts as Bun with this variable, and as itself without. */
const env = { ...process.env, BUN_BE_BUN: "1" };

/** What each command does: a process of its own. */
const programs = {
  list: 'console.log("src test package.json")',
  count: 'console.log(require("node:fs").readdirSync(".").length)',
  wait: "setTimeout(() => {}, 60_000)",
  fail: "process.exit(3)",
};

/** What the model does: these commands, a step each, and then an answer. */
const scriptOf = (prompt) => prompt.split(" ").filter((word) => word in programs);

let calls = 0;

function modelFor(prompt) {
  const script = scriptOf(prompt);
  return new MockLanguageModelV3({
    provider: "example",
    modelId: "scripted-1",
    async doGenerate({ prompt: messages }) {
      const asked = messages.findLastIndex(({ role }) => role === "user");
      const command = script[messages.slice(asked).filter(({ role }) => role === "assistant").length];
      const call = {
        type: "tool-call",
        toolCallId: `call_${process.pid}_${++calls}`,
        toolName: "bash",
        input: JSON.stringify({ command }),
      };
      return {
        content: command ? [call] : [{ type: "text", text: `Done: ${prompt}` }],
        finishReason: command
          ? { unified: "tool-calls", raw: "tool_use" }
          : { unified: "stop", raw: "end_turn" },
        usage: {
          inputTokens: { total: 100, noCache: 60, cacheRead: 40, cacheWrite: 0 },
          outputTokens: { total: 20, text: 20, reasoning: 0 },
        },
        warnings: [],
      };
    },
  });
}

/** One turn: asks the agent, and logs what it does. `said` is called with what a person wants to know. */
export async function turn(trace, prompt, said = () => {}) {
  trace.logUserMessage(prompt);
  const id = `${process.pid}_${++calls}`;
  let step = { id: `step_${id}_0`, messageID: `msg_${id}` };
  const bash = tool({
    description: "Runs a command.",
    inputSchema: jsonSchema({
      type: "object",
      properties: { command: { type: "string" } },
      required: ["command"],
    }),
    async execute(input, { toolCallId }) {
      const start = Date.now();
      const log = (state) =>
        trace.logToolCall({
          tool: "bash",
          callID: toolCallId,
          messageID: step.messageID,
          state: { input, ...state },
        });
      log({ status: "running", time: { start } });
      said(`runs ${input.command}`);
      try {
        const { stdout } = await run(process.execPath, ["-e", programs[input.command]], { env });
        log({ status: "completed", output: stdout.trim(), time: { start, end: Date.now() } });
        return stdout.trim();
      } catch (error) {
        log({ status: "error", error: error.message, time: { start, end: Date.now() } });
        return "it failed";
      }
    },
  });
  const { text } = await generateText({
    model: modelFor(prompt),
    prompt,
    tools: { bash },
    stopWhen: stepCountIs(10),
    prepareStep({ stepNumber }) {
      step = { id: `step_${id}_${stepNumber}`, messageID: `msg_${id}` };
      trace.logStepStart(step);
    },
    onStepFinish({ text: words, finishReason, usage }) {
      if (words !== "") trace.logText({ ...step, text: words });
      const { inputTokens = 0, outputTokens = 0, cachedInputTokens = 0 } = usage;
      trace.logStepFinish({
        ...step,
        reason: finishReason,
        cost: 0.001,
        tokens: {
          input: inputTokens - cachedInputTokens,
          output: outputTokens,
          reasoning: 0,
          cache: { read: cachedInputTokens, write: 0 },
        },
      });
    },
  });
  said(`answers ${text}`);
}
