/** The open generations of a session, and how a host's call is matched to one of them. */
import { SpanKind } from "@opentelemetry/api";
import type { SessionMetadata, TokenUsage } from "../format/trace-file.js";
import {
  ATTR_CRASH_SAFE_FILE_NAME,
  ATTR_GEN_AI_OPERATION_NAME,
  ATTR_GEN_AI_PROVIDER_NAME,
  ATTR_GEN_AI_REQUEST_MODEL,
} from "../otel/semantic-conventions.js";
import type { ExactSpan } from "../projection/exact-span.js";
import { modelName } from "../projection/to-attributes.js";
import { modelOf } from "./metadata.js";
import type { SessionSpan, SpanDraft } from "./session-span.js";
import { finiteOr, member, textMember, toText } from "./untrusted-input.js";

/** Tool names that are kept as the output of a generation without text. */
const maxToolNames = 100;
/**
 * Each piece of text journals the whole text anew. Beyond a few times the length of the text, pieces are not journaled,
 * and survive the process only from the next publish on.
 */
const freeJournalChars = 65_536;
const journalFactor = 4;

export class OpenGeneration {
  readonly span: SessionSpan;
  readonly id: string;
  readonly messageId: string | undefined;
  readonly #toolNames: string[] = [];
  #text = "";
  #journaled = 0;

  constructor(span: SessionSpan, id: string, messageId: string | undefined) {
    this.span = span;
    this.id = id;
    this.messageId = messageId;
  }

  /** Appends to the output. `true`: the caller journals the span now. */
  addText(text: string): boolean {
    if (text === "") return false;
    this.#text += text;
    this.span.change({ output: this.#text });
    if (this.#journaled > journalFactor * this.#text.length + freeJournalChars) return false;
    this.#journaled += this.#text.length;
    return true;
  }

  addTool(name: string): void {
    if (this.#toolNames.length < maxToolNames) this.#toolNames.push(name);
  }

  /** The text, or the names of the called tools if there is no text. */
  get output(): string | undefined {
    if (this.#text !== "") return this.#text;
    return this.#toolNames.length > 0 ? `[tool calls: ${this.#toolNames.join(", ")}]` : undefined;
  }

  /** The changes of the span at its end. */
  ended(endTime: number, finish: Partial<ExactSpan>): Partial<ExactSpan> {
    const { output } = this;
    return { endTime, ...finish, ...(output !== undefined && { output }) };
  }
}

export class OpenGenerations {
  readonly #open: OpenGeneration[] = [];

  add(generation: OpenGeneration): void {
    this.#open.push(generation);
  }

  remove(generation: OpenGeneration): void {
    this.#open.splice(this.#open.indexOf(generation), 1);
  }

  get newest(): OpenGeneration | undefined {
    return this.#open.at(-1);
  }

  /** Oldest first. */
  all(): OpenGeneration[] {
    return [...this.#open];
  }

  /**
   * The generation with the id of `part`, else with its message id, else the newest. Hosts give the start and the
   * finish of a step different ids, and both the id of their message.
   */
  find(part: unknown): OpenGeneration | undefined {
    const id = member(part, "id");
    const messageId = textMember(part, "messageID");
    return (
      (id === undefined || id === null ? undefined : this.#open.findLast((one) => one.id === toText(id))) ??
      (messageId === undefined ? undefined : this.#open.findLast((one) => one.messageId === messageId)) ??
      this.newest
    );
  }
}

/** The span of a step that starts. `results`: the results of tools since the last step. */
export function generationDraft(
  id: string,
  metadata: SessionMetadata,
  results: string | undefined,
  now: number,
): SpanDraft {
  const model = modelOf(metadata);
  const name = modelName(metadata) || undefined;
  const { providerId } = metadata;
  return {
    name: name === undefined ? "chat" : `chat ${name}`,
    kind: SpanKind.CLIENT,
    attributes: {
      [ATTR_GEN_AI_OPERATION_NAME]: "chat",
      [ATTR_CRASH_SAFE_FILE_NAME]: `generation-${id}`,
      ...(providerId && { [ATTR_GEN_AI_PROVIDER_NAME]: providerId }),
      ...(name !== undefined && { [ATTR_GEN_AI_REQUEST_MODEL]: name }),
    },
    record: {
      name: `generation-${id}`,
      kind: "generation",
      startTime: now,
      status: "ok",
      ...(model && { model }),
      ...(results !== undefined && { input: results }),
    },
  };
}

/** Reason, cost and tokens of a finished step. A count that is missing or no finite number is 0. */
export function finishOf(part: unknown): Partial<ExactSpan> {
  const reason = member(part, "reason");
  return {
    ...(reason !== undefined && reason !== null && { finishReason: toText(reason) }),
    cost: finiteOr(member(part, "cost"), 0),
    tokens: tokensOf(member(part, "tokens")),
  };
}

function tokensOf(given: unknown): TokenUsage {
  const count = (source: unknown, key: string) => finiteOr(member(source, key), 0);
  const cache = member(given, "cache");
  const input = count(given, "input");
  const output = count(given, "output");
  const reasoning = count(given, "reasoning");
  const cacheRead = count(cache, "read");
  const cacheWrite = count(cache, "write");
  const total = finiteOr(input + output + reasoning + cacheRead + cacheWrite, 0);
  return { input, output, reasoning, cacheRead, cacheWrite, total };
}
