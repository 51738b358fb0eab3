/** `--json` of each command against a schema: a member that is renamed or missing breaks the programs of users. */
import { expect, test } from "vitest";
import * as z from "zod";
import { command, commandDirectory } from "../support/command-stage.js";

const time = z.iso.datetime();
const count = z.number().int().nonnegative();
const status = z.enum(["running", "idle", "completed", "error", "crashed", "damaged"]);
const writer = z.enum(["alive", "gone", "none"]);
const damage = z.strictObject({ tornBytes: count, corruptLines: count });
const tokens = z.record(z.string(), z.number());
const span = z.looseObject({
  spanId: z.string(),
  parentSpanId: z.string().nullable(),
  name: z.string(),
  kind: z.string(),
  startTime: z.number(),
  status: z.enum(["ok", "error"]),
});
const step = z.strictObject({
  spanId: z.string(),
  kind: z.string(),
  name: z.string(),
  within: z.array(z.string()),
  turn: count,
  startedAt: time,
  durationMs: z.number(),
  isLeast: z.literal(true).optional(),
  input: z.unknown().optional(),
  output: z.unknown().optional(),
  message: z.string().optional(),
});

const retry = z.strictObject({
  name: z.string(),
  attempts: count,
  failed: count,
  wastedMillis: z.number(),
  wastedTokens: count,
  wastedCost: z.number(),
  isSolved: z.boolean(),
});
const amount = z.strictObject({
  calls: count,
  errors: count,
  tokens,
  cost: z.number(),
  durationMs: z.number(),
  cacheHitRatio: z.number().min(0).max(1).nullable(),
});

const schemas = {
  list: z.strictObject({
    schema: z.literal("crash-safe-file/list/1"),
    dir: z.string(),
    total: count,
    sessions: z.array(
      z.strictObject({
        id: z.string(),
        name: z.string(),
        path: z.string(),
        status,
        writer,
        startedAt: time.nullable(),
        lastActivityAt: time.nullable(),
        durationMs: z.number().nullable(),
        turns: count.nullable(),
        errors: count.nullable(),
        interrupted: count.nullable(),
        tokens: count.nullable(),
        cost: z.number().nullable(),
        toolCalls: count.nullable(),
        generations: count.nullable(),
        title: z.string().nullable(),
        prompt: z.string().nullable(),
        model: z.string().nullable(),
        agent: z.string().nullable(),
        error: z.string().nullable(),
        detector: z.string().nullable(),
        parent: z.strictObject({ id: z.string(), spanId: z.string().optional() }).nullable(),
        bytes: count,
      }),
    ),
  }),
  show: z.strictObject({
    schema: z.literal("crash-safe-file/show/1"),
    id: z.string(),
    path: z.string(),
    status,
    writer,
    traceId: z.string(),
    startedAt: time,
    endedAt: time,
    metadata: z.looseObject({}),
    summary: z.looseObject({ totalTokens: z.number(), totalToolCalls: z.number() }),
    damage,
    spans: z.array(span.extend({ turn: count })),
  }),
  span: z.strictObject({
    schema: z.literal("crash-safe-file/span/1"),
    session: z.string(),
    turn: count,
    span,
  }),
  postmortem: z.strictObject({
    schema: z.literal("crash-safe-file/postmortem/1"),
    id: z.string(),
    path: z.string(),
    status,
    evidence: z.string(),
    detector: z.string().optional(),
    error: z.string().optional(),
    isReconstructed: z.boolean(),
    writer: z.strictObject({ state: writer, pids: z.array(count) }),
    startedAt: time,
    lastSeenAt: time,
    title: z.string().optional(),
    agent: z.string().optional(),
    model: z.string().optional(),
    turn: count,
    asked: z.unknown().optional(),
    open: z.array(step),
    lastCompleted: step.optional(),
    lastError: step.optional(),
    isLastFailed: z.literal(true).optional(),
    lastModelCall: step
      .extend({
        finishReason: z.string().optional(),
        tokens: tokens.optional(),
        contextTokens: count,
        cost: z.number().optional(),
      })
      .optional(),
    totals: z.strictObject({ tokens: count, cost: z.number(), toolCalls: count, modelCalls: count }),
    models: z.array(z.strictObject({ model: z.string(), calls: count, tokens: count, cost: z.number() })),
    loops: z.array(z.strictObject({ tool: z.string(), count })),
    retries: z.array(retry),
    undone: z.array(z.string()),
    damage,
  }),
  stats: z.strictObject({
    schema: z.literal("crash-safe-file/stats/1"),
    sessions: count,
    unreadable: count,
    elidedSpans: count,
    total: amount,
    models: z.array(amount.extend({ model: z.string() })),
    days: z.array(amount.extend({ day: z.string() })),
    tools: z.array(
      z.strictObject({
        tool: z.string(),
        calls: count,
        errors: count,
        interrupted: count,
        durationMs: z.number(),
        isLeast: z.literal(true).optional(),
        slowestMs: z.number().nullable(),
        meanMs: z.number().nullable(),
      }),
    ),
    loops: z.array(z.strictObject({ session: z.string(), tool: z.string(), count })),
    retries: z.array(retry.extend({ session: z.string() })),
    context: z
      .array(z.strictObject({ at: time, model: z.string(), contextTokens: count, isCompacted: z.boolean() }))
      .optional(),
  }),
  recover: z.strictObject({
    schema: z.literal("crash-safe-file/recover/1"),
    dryRun: z.boolean(),
    sessions: z.array(
      z.looseObject({ id: z.string(), path: z.string(), action: z.string(), status, recoveredSpans: count }),
    ),
    failures: z.array(z.strictObject({ path: z.string(), error: z.string() })),
    running: count,
  }),
  replay: z.strictObject({
    schema: z.literal("crash-safe-file/replay/1"),
    dryRun: z.boolean(),
    url: z.string(),
    sessions: z.array(z.strictObject({ id: z.string(), path: z.string(), status })),
    failures: z.array(z.strictObject({ path: z.string(), spans: count, error: z.string() })),
  }),
  prune: z.strictObject({
    schema: z.literal("crash-safe-file/prune/1"),
    dryRun: z.boolean(),
    removed: z.array(z.strictObject({ path: z.string(), bytes: count })),
    bytes: count,
    held: z.array(z.string()),
    failures: z.array(z.strictObject({ path: z.string(), error: z.string() })),
  }),
  verify: z.strictObject({
    schema: z.literal("crash-safe-file/verify/1"),
    result: z.enum(["whole", "repairable", "unread", "corrupt"]),
    sessions: z.array(
      z.strictObject({
        name: z.string(),
        path: z.string(),
        status,
        result: z.enum(["whole", "repairable", "unread", "corrupt"]),
        spans: count,
        bytes: count.nullable(),
        findings: z.array(
          z.strictObject({
            level: z.enum(["note", "repairable", "unread", "corrupt"]),
            file: z.string(),
            line: count.optional(),
            offset: count.optional(),
            message: z.string(),
          }),
        ),
        leftOut: count,
      }),
    ),
  }),
};

const readable = [
  "ses_finish",
  "ses_failed",
  "ses_crashd",
  "ses_capped",
  "ses_newer",
  "ses_killed",
  "ses_active",
  "ses_broken",
  "old_tracer",
];
const calls = [
  { name: "list" as const, args: ["list"] },
  { name: "verify" as const, args: ["verify"] },
  { name: "stats" as const, args: ["stats"] },
  { name: "stats" as const, args: ["stats", "ses_finish"] },
  { name: "recover" as const, args: ["recover", "--dry-run"] },
  { name: "replay" as const, args: ["replay", "--otlp", "http://localhost:4318", "--dry-run"] },
  { name: "prune" as const, args: ["prune", "--keep", "1", "--dry-run"] },
  { name: "span" as const, args: ["show", "ses_finish", "--span", "0000000000000002"] },
  ...readable.flatMap((id) => [
    { name: "show" as const, args: ["show", id] },
    { name: "postmortem" as const, args: ["postmortem", id] },
  ]),
];

test.each(calls)("$args", async ({ name, args }) => {
  const { out } = await command(commandDirectory(), [...args, "--json"]);
  const parsed = schemas[name].safeParse(JSON.parse(out));
  expect(parsed.error?.issues).toBe(undefined);
});
