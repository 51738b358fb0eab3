/** Documents for the viewer: a day of an agent, as long as wanted; and one that is hostile in every text. */
const start = Date.UTC(2026, 0, 2, 9, 0, 0);

interface Span {
  readonly [member: string]: unknown;
}

/** A one-pixel image with bytes after its end: as long as a screenshot, and still an image. */
const pixel =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg";
const image = pixel + "A".repeat(80_000);

const answer = `I found the cause: **\`fct_orders\`** waits for \`stg_payments\`, which is rebuilt in full.

## What I would change

1. Make \`stg_payments\` incremental on \`updated_at\`
2. Add a test for late rows
   - at most one day
   - see [the docs](https://example.com/incremental)

| model | before | after |
|---|---|---|
| stg_payments | 14m | 40s |
| fct_orders | 22m | 2m |

\`\`\`sql
select *
from {{ source('shop', 'payments') }}
{% if is_incremental() %}
where updated_at > (select max(updated_at) from {{ this }})
{% endif %}
\`\`\`

> The first run still takes 14 minutes.
`;

const prompts = [
  "Why is fct_orders late every Monday?",
  "Good. Make the change, and show me the plan first.",
  "Run the tests, and open a pull request.",
];

const tools: readonly (readonly [name: string, input: object, output: string])[] = [
  ["bash", { command: "dbt ls --select fct_orders+" }, "fct_orders\nfct_revenue\nreport_weekly"],
  ["read", { path: "models/staging/stg_payments.sql" }, "select *\nfrom {{ source('shop', 'payments') }}\n"],
  [
    "grep",
    { pattern: "stg_payments", path: "models" },
    "models/marts/fct_orders.sql:12: from {{ ref('stg_payments') }}",
  ],
  [
    "edit",
    {
      path: "models/staging/stg_payments.sql",
      old_string: "select *\nfrom payments\norder by 1",
      new_string: "select *\nfrom payments\nwhere updated_at > '2026-01-01'\norder by 1",
    },
    "edited",
  ],
  ["sql_execute", { sql: "select count(*) from stg_payments", limit: 10 }, "count\n1284003"],
];

interface Shape {
  readonly id: string;
  readonly turns: number;
  /** Model calls in a turn. */
  readonly calls: number;
  /** The last tool is cut off. */
  readonly isCrashed?: boolean;
  /** What started it as a subagent. */
  readonly parent?: { readonly id: string; readonly spanId: string };
}

/** The id of the first tool call of a document. */
export const firstTool = "0000000000000004";

/** A document as an agent of the session tracer leaves it. */
export function agentDocument({ id, turns, calls, isCrashed = false, parent }: Shape): object {
  const spans: Span[] = [];
  let at = start;
  let number = 0;
  const spanId = () => (++number).toString(16).padStart(16, "0");
  const root = spanId();
  const traceOf = (turn: number) => (turn + 1).toString(16).padStart(32, "0");
  let context = 9_000;
  for (let turn = 0; turn < turns; turn++) {
    const of = { traceId: traceOf(turn) };
    const message = prompts[turn % prompts.length];
    spans.push({
      ...of,
      spanId: spanId(),
      parentSpanId: root,
      name: "user-message",
      kind: "user-message",
      startTime: at,
      endTime: at,
      status: "ok",
      input: message,
    });
    at += 120;
    for (let call = 0; call < calls; call++) {
      const generation = spanId();
      const begun = at;
      const isLast = call === calls - 1;
      at += 900 + ((turn * 7 + call * 13) % 9) * 310;
      const [name, input, output] = tools[(turn + call) % tools.length] as (typeof tools)[number];
      const isFailed = (turn * calls + call) % 11 === 4;
      const isCut = isCrashed && turn === turns - 1 && isLast;
      if (!isLast || isCut) {
        const tool = spanId();
        const from = at;
        at += 200 + ((call * 17 + turn) % 13) * 420;
        spans.push({
          ...of,
          spanId: tool,
          parentSpanId: generation,
          name,
          kind: "tool",
          startTime: from,
          endTime: at,
          status: isFailed || isCut ? "error" : "ok",
          ...(isFailed && { statusMessage: 'exit code 1: relation "stg_payments" does not exist' }),
          ...(isCut && { interrupted: true, statusMessage: "Process received SIGTERM" }),
          tool: { callId: `call-${number}`, durationMs: at - from },
          input,
          ...(!isCut && { output: isFailed ? { error: "exit code 1" } : output }),
        });
        if (call % 4 === 1) {
          // A subagent, beside a tool that runs at the same time.
          const task = spanId();
          const inner = spanId();
          spans.push({
            ...of,
            spanId: inner,
            parentSpanId: task,
            name: "chat haiku",
            kind: "generation",
            startTime: from + 150,
            endTime: from + 900,
            status: "ok",
            model: { modelId: "claude-haiku", providerId: "anthropic" },
            output: "Three models depend on it.",
            tokens: { input: 800, output: 60, reasoning: 0, cacheRead: 0, cacheWrite: 0, total: 860 },
            cost: 0.002,
          });
          spans.push({
            ...of,
            spanId: task,
            parentSpanId: generation,
            name: "task",
            kind: "tool",
            startTime: from,
            endTime: from + 1_050,
            status: "ok",
            tool: { durationMs: 1_050 },
            input: { prompt: "Find what depends on stg_payments" },
            output: "Three models depend on it.",
          });
          at = Math.max(at, from + 1_050);
        }
        if (call === 2 && turn === 0)
          spans.push({
            ...of,
            spanId: spanId(),
            parentSpanId: generation,
            name: "screenshot",
            kind: "tool",
            startTime: from,
            endTime: from + 400,
            status: "ok",
            input: { url: "http://localhost:8080/dag" },
            output: image,
          });
      }
      context = context > 90_000 ? 14_000 : context + 2_400 + call * 150;
      spans.push({
        ...of,
        spanId: generation,
        parentSpanId: root,
        name: `generation-step-${call}`,
        kind: "generation",
        startTime: begun,
        endTime: at,
        status: isCut ? "error" : "ok",
        ...(isCut && { interrupted: true, statusMessage: "Process received SIGTERM" }),
        model: { modelId: "claude-sonnet", providerId: "anthropic" },
        ...(!isCut && {
          finishReason: isLast ? "stop" : "tool-calls",
          output: isLast ? answer : "Let me look at how the model is built.",
          cost: 0.0123,
          tokens: {
            input: 900,
            output: 240,
            reasoning: 30,
            cacheRead: context,
            cacheWrite: 300,
            total: context + 1_470,
          },
        }),
        attributes: { "gen_ai.response.id": `msg_${number}` },
      });
      at += 60;
    }
    // The user reads.
    at += turn === turns - 1 ? 0 : 35_000 + (turn % 4) * 240_000;
  }
  const calls_ = spans.filter(({ kind }) => kind === "generation").length;
  const toolCalls = spans.filter(({ kind }) => kind === "tool").length;
  spans.push({
    spanId: root,
    parentSpanId: null,
    name: "orders",
    kind: "session",
    startTime: start,
    endTime: at,
    status: isCrashed ? "error" : "ok",
    input: prompts[0],
    ...(parent && {
      attributes: {
        "crash_safe_file.parent_session.id": parent.id,
        "crash_safe_file.parent_session.span_id": parent.spanId,
      },
    }),
  });
  return {
    version: 2,
    id,
    traceId: traceOf(0),
    sessionId: id,
    startedAt: new Date(start).toISOString(),
    endedAt: new Date(at).toISOString(),
    metadata: {
      title: "Fix the Monday delay of fct_orders",
      model: "anthropic/claude-sonnet",
      agent: "builder",
      prompt: prompts[0],
    },
    spans,
    summary: {
      totalTokens: calls_ * 52_000,
      totalCost: calls_ * 0.0123,
      totalToolCalls: toolCalls,
      totalGenerations: calls_,
      turns,
      errors: 0,
      interrupted: isCrashed ? 2 : 0,
      duration: at - start,
      status: isCrashed ? "crashed" : "completed",
      ...(isCrashed && { error: "Process received SIGTERM", detector: "SIGTERM" }),
      lastActivityAt: new Date(at).toISOString(),
      tokens: {
        input: calls_ * 900,
        output: calls_ * 240,
        reasoning: calls_ * 30,
        cacheRead: calls_ * 50_000,
        cacheWrite: calls_ * 300,
      },
    },
  };
}

const script =
  "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
const rightToLeft = "\u202Egnp.exe\u202C \u05e9\u05dc\u05d5\u05dd \u2066x\u2069";

/** Markup, reordered text, words of a megabyte, and more levels than a call stack has, in every place for a text. */
export function hostileDocument(id: string): object {
  const word = "x".repeat(1_000_000);
  const spans: Span[] = [];
  const depth = 20_000;
  for (let level = 0; level < depth; level++)
    spans.push({
      spanId: `d${level}`,
      parentSpanId: level === 0 ? "root" : `d${level - 1}`,
      name: `level ${level}`,
      kind: "span",
      startTime: start + level,
      endTime: start + depth * 2 - level,
      status: "ok",
    });
  const deep: unknown = JSON.parse("[".repeat(2_000) + "]".repeat(2_000));
  spans.push(
    {
      spanId: "m",
      parentSpanId: "root",
      name: script,
      kind: "user-message",
      startTime: start,
      endTime: start,
      status: "ok",
      input: `${script} ${rightToLeft}`,
    },
    {
      spanId: "t",
      parentSpanId: "root",
      name: `${script}${rightToLeft}`,
      kind: "tool",
      startTime: start + 1,
      endTime: start + 9,
      status: "error",
      statusMessage: script,
      input: { [script]: script, deep },
      output: word,
      attributes: { [script]: rightToLeft, __proto__: null, constructor: "x" },
    },
    {
      spanId: "g",
      parentSpanId: "root",
      name: "chat",
      kind: "generation",
      startTime: start + 2,
      endTime: start + 20,
      status: "ok",
      model: { modelId: script },
      output: `# ${script}\n\n[x](javascript:alert(1)) **${word}**\n\n\`\`\`${script}\n${script}`,
    },
    {
      spanId: "g",
      parentSpanId: "t",
      name: "twin of an id",
      kind: "generation",
      startTime: start + 3,
      status: "ok",
      tokens: { total: "many" },
    },
    {
      spanId: "odd",
      parentSpanId: "odd",
      name: 7,
      kind: "novel",
      startTime: "never",
      endTime: null,
      status: "?",
      input: "\u0000\u001b[31m\ud800",
    },
    {
      spanId: "root",
      parentSpanId: null,
      name: script,
      kind: "session",
      startTime: start,
      endTime: start + 50_000,
      status: "ok",
    },
  );
  return {
    version: 2,
    id,
    traceId: "1".repeat(32),
    sessionId: id,
    startedAt: new Date(start).toISOString(),
    endedAt: new Date(start + 50_000).toISOString(),
    metadata: { title: `${script}${rightToLeft}`, model: script, agent: word, tags: [script] },
    spans,
    summary: {
      totalTokens: Number.MAX_VALUE,
      status: "completed",
      narrative: script,
      loops: [{ tool: script, count: 3 }],
      novel: { member: true },
    },
    novel: script,
  };
}
