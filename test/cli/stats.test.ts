/** `stats`: what was used, counted as every other command counts it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TraceSpan } from "../../src/format/trace-file.js";
import { command, emptyDirectory } from "../support/command-stage.js";
import { documentOf, rootSpan, toolSpan } from "../support/trace-documents.js";

test("P14 an embedding is a call of its model, and no model call", async () => {
  const dir = emptyDirectory();
  const tokens = { input: 10, output: 0, reasoning: 0, cacheRead: 0, cacheWrite: 0, total: 10 };
  const call = (n: number, kind: TraceSpan["kind"], modelId: string) =>
    toolSpan(n, { kind, model: { modelId, providerId: "acme" }, tokens });
  const spans = [
    rootSpan(),
    call(1, "generation", "large"),
    call(2, "embedding", "small"),
    call(3, "embedding", "small"),
  ];
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(documentOf("ses_1", { spans })));
  const { models, total, days } = JSON.parse((await command(dir, ["stats", "--json"])).out);
  expect([total.calls, days[0].calls]).toEqual([1, 1]);
  expect(models.map(({ calls }: { calls: number }) => calls).sort()).toEqual([1, 2]);
});
