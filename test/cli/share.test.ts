/** `share`: one file, without what must not leave the machine. */
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { expect, test } from "vitest";
import { CrashSafeFileSpanExporter } from "../../src/exporter/file-exporter.js";
import { CrashSafeSpanProcessor } from "../../src/processor/span-processor.js";
import { command, commandDirectory, emptyDirectory } from "../support/command-stage.js";
import { agentDocument, hostileDocument } from "../support/viewer-sessions.js";

/** The values of the data elements of a page, by their ids. */
function dataOf(page: string): Map<string, unknown> {
  const elements = page.matchAll(/<script type="application\/octet-stream" id="([\w-]+)">([^<]*)<\/script>/g);
  return new Map(
    [...elements].map(([, id = "", data = ""]) => [
      id,
      JSON.parse(gunzipSync(Buffer.from(data, "base64")).toString("utf8")),
    ]),
  );
}

const secret = `sk-ant-api03-${"a1B2".repeat(20)}`;

function secretDirectory(): string {
  const dir = emptyDirectory();
  const document = agentDocument({ id: "ses_1", turns: 1, calls: 3 }) as {
    spans: Record<string, unknown>[];
    metadata: Record<string, unknown>;
    resources?: object;
  };
  const [message, tool] = document.spans as [Record<string, unknown>, Record<string, unknown>];
  message.input = `use ${secret}, please`;
  tool.attributes = { password: "hunter2hunter2" };
  tool.resource = "r1";
  document.resources = { r1: { attributes: { "host.name": "build-7", "process.command": `run ${secret}` } } };
  document.metadata.userId = "a person";
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(document));
  return dir;
}

test("P9 takes secrets out by default, and reports how many of each kind", async () => {
  const dir = secretDirectory();
  const { code, out, err } = await command(dir, ["share", "ses_1"]);
  expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/^ses_1\.html {2}\d+(\.\d)? KB\n$/) });
  expect(err).toMatch(/^taken out: 2 × anthropic-key, 1 × secret\n/);
  const page = readFileSync(join(dir, "ses_1.html"), "utf8");
  const data = dataOf(page);
  expect([...data.keys()]).toEqual(["spans-0", "view-0"]);
  const text = JSON.stringify([...data]);
  expect(text).not.toContain(secret);
  expect(text).not.toContain("hunter2");
  expect(text).toContain("[redacted:");
  expect(text).toContain("a person");
  expect(text).toContain("build-7");
  // Where the document was is not in the page.
  expect(text).not.toContain(dir);
  if (process.platform !== "win32") expect(statSync(join(dir, "ses_1.html")).mode & 0o777).toBe(0o600);
});

test("P9 --no-content leaves structure and numbers only", async () => {
  const dir = secretDirectory();
  const { code, err } = await command(dir, ["share", "ses_1", "--no-content"]);
  expect({ code, err }).toEqual({
    code: 0,
    err: expect.stringMatching(/^taken out: \d+ outputs, \d+ inputs, /),
  });
  const data = dataOf(readFileSync(join(dir, "ses_1.html"), "utf8"));
  const text = JSON.stringify([...data]);
  for (const content of [
    secret,
    "hunter2",
    "a person",
    "build-7",
    "fct_orders",
    "stg_payments",
    "Let me look",
    "exit code",
  ])
    expect(text).not.toContain(content);
  const { rows, head } = data.get("view-0") as {
    rows: { tokens?: number }[];
    head: { report: { totals: object } };
  };
  expect(rows.some(({ tokens = 0 }) => tokens > 0)).toBe(true);
  expect(head.report.totals).toMatchObject({ modelCalls: 4 });
});

test("P9 --no-content takes secrets out of names and ids, too", async () => {
  const dir = emptyDirectory();
  const exporter = new CrashSafeFileSpanExporter({ dir });
  const provider = new BasicTracerProvider({ spanProcessors: [new CrashSafeSpanProcessor(exporter)] });
  const attributes = {
    "session.id": "ses_1",
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": secret,
  };
  provider.getTracer("test").startSpan(`run ${secret}`, { attributes }).end();
  await provider.shutdown();
  const { code, err } = await command(dir, ["share", "ses_1", "--no-content"]);
  expect(code).toBe(0);
  expect(err).toContain("anthropic-key");
  expect(readFileSync(join(dir, "ses_1.html"), "utf8")).not.toContain(secret);
});

test("--no-redact keeps everything, and says so", async () => {
  const dir = secretDirectory();
  const { out, err } = await command(dir, ["share", "ses_1", "--no-redact", "-o", "-"]);
  expect(err).toContain("nothing was taken out");
  expect(JSON.stringify([...dataOf(out)])).toContain(secret);
  expect(existsSync(join(dir, "ses_1.html"))).toBe(false);
  expect((await command(dir, ["share", "ses_1", "--no-redact", "--no-content"])).code).toBe(2);
  expect((await command(dir, ["share"])).code).toBe(2);
});

test("P9 replaces no file unless it is forced, and follows no link", async () => {
  const dir = secretDirectory();
  const victim = join(dir, "victim");
  writeFileSync(victim, "precious");
  if (process.platform !== "win32") symlinkSync(victim, join(dir, "link.html"));
  for (const name of ["victim", ...(process.platform === "win32" ? [] : ["link.html"])]) {
    const { code, err } = await command(dir, ["share", "ses_1", "-o", name]);
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringContaining("it exists; --force replaces it"),
    });
  }
  await command(dir, ["share", "ses_1", "-o", "link.html", "--force"]);
  expect(readFileSync(victim, "utf8")).toBe("precious");
  const { out } = await command(dir, ["share", "ses_1", "-o", "victim", "--force", "--json"]);
  expect(JSON.parse(out)).toMatchObject({
    schema: "crash-safe-file/share/1",
    session: "ses_1",
    path: victim,
    takenOut: { what: "secrets" },
  });
  expect(readFileSync(victim, "utf8")).toContain("<!doctype html>");
});

test("every session can be shared, whatever its state", async () => {
  const dir = commandDirectory();
  for (const id of [
    "ses_finish",
    "ses_crashd",
    "ses_capped",
    "ses_killed",
    "ses_active",
    "ses_broken",
    "old_tracer",
  ]) {
    const { code, out } = await command(dir, ["share", id, "-o", "-"]);
    expect(code, id).toBe(0);
    const { rows } = dataOf(out).get("view-0") as { rows: { block: number }[] };
    expect(rows.length, id).toBeGreaterThan(1);
    expect(rows.every(({ block }) => block === 0)).toBe(true);
    // P14 No number of a document is invented: what is not known is absent.
    expect(JSON.stringify(rows)).not.toMatch(/null|NaN|undefined/);
  }
});

test("P9 a hostile document is data: nothing in it ends an element or begins one", async () => {
  const dir = emptyDirectory();
  writeFileSync(join(dir, "hostile.json"), JSON.stringify(hostileDocument("hostile")));
  const { code, out } = await command(dir, ["share", "hostile", "--no-redact", "-o", "-"]);
  expect(code).toBe(0);
  expect(out.match(/<script/g)).toHaveLength(1 + dataOf(out).size);
  expect(out.includes("'owned'")).toBe(false);
});

test("P9 postmortem --md takes secrets out as well, and --no-redact leaves them in", async () => {
  const dir = secretDirectory();
  const { code, out, err } = await command(dir, ["postmortem", "ses_1", "--md"]);
  expect(code).toBe(0);
  expect(out).toContain("use [redacted:anthropic-key], please");
  expect(out).not.toContain(secret);
  expect(err).toBe("secrets were taken out; --no-redact leaves them in\n");
  const whole = await command(dir, ["postmortem", "ses_1", "--md", "--no-redact"]);
  expect(whole.out).toContain(`use ${secret}, please`);
  expect(whole.err).toBe("");
});
