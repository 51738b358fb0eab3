/** `show --span`: everything of one span. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command, emptyDirectory } from "../support/command-stage.js";
import { agentDocument, firstTool } from "../support/viewer-sessions.js";

test("P11 shows the resource and the scope that the span names, also in a document of another layout", async () => {
  const dir = emptyDirectory();
  const document = agentDocument({ id: "ses_1", turns: 1, calls: 3 }) as { spans: Record<string, unknown>[] };
  const tool = document.spans.find(({ spanId }) => spanId === firstTool);
  Object.assign(tool ?? {}, { resource: "r1", scope: "s1" });
  const tables = {
    resources: { r1: { attributes: { "host.name": "build-7" } } },
    scopes: { s1: { name: "app", attributes: { team: "data" } } },
  };
  for (const text of [
    JSON.stringify({ ...document, ...tables }),
    JSON.stringify({ ...document, ...tables }, null, 2),
  ]) {
    writeFileSync(join(dir, "ses_1.json"), text);
    const { code, out } = await command(dir, ["show", "ses_1", "--span", firstTool]);
    expect(code).toBe(0);
    expect(out).toContain('resource\n  {\n    "host.name": "build-7"\n  }');
    expect(out).toContain('instrumentation scope\n  {\n    "team": "data"\n  }');
  }
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify({ ...document, resources: 7, scopes: "none" }));
  expect((await command(dir, ["show", "ses_1", "--span", firstTool])).code).toBe(0);
});
