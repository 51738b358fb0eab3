/** `Trace.create()` and the hosted Langfuse: on by three variables, off without any of them, never a throw. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Trace } from "../../src/altimate.js";

let dir: string;
let server: Server;
let requests: { path: string | undefined; authorization: string | undefined; bytes: Buffer }[];
let host: string;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "langfuse-"));
  requests = [];
  server = createServer(async (request, response) => {
    const bytes = Buffer.concat(await request.toArray());
    requests.push({ path: request.url, authorization: request.headers.authorization, bytes });
    response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  host = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  vi.stubEnv("XDG_DATA_HOME", dir);
  vi.stubEnv("DISABLE_LANGFUSE", undefined);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true, force: true });
});

function setKeys(variables: Readonly<Record<string, string | undefined>> = {}): void {
  const keys = { LANGFUSE_PUBLIC_KEY: "pk-1", LANGFUSE_SECRET_KEY: "sk-1", LANGFUSE_HOST: host };
  for (const [name, value] of Object.entries({ ...keys, ...variables })) vi.stubEnv(name, value);
}

async function oneTurn(id: string): Promise<string | undefined> {
  const trace = Trace.create();
  trace.startTrace(id);
  trace.logUserMessage("the message");
  trace.logStepStart({ id: "1" });
  trace.logStepFinish({ id: "1", reason: "stop" });
  return trace.endTrace();
}

test.each(["", "/"])("spans arrive with basic authentication, with %j after the host", async (slash) => {
  setKeys({ LANGFUSE_HOST: host + slash });
  expect(await oneTurn("ses_1")).toBe(`${dir}/altimate-code/traces/ses_1.json`);
  expect(requests.length).toBeGreaterThan(0);
  for (const { path, authorization } of requests) {
    expect(path).toBe("/api/public/otel/v1/traces");
    expect(authorization).toBe(`Basic ${Buffer.from("pk-1:sk-1").toString("base64")}`);
  }
  const sent = Buffer.concat(requests.map(({ bytes }) => bytes)).toString("latin1");
  for (const text of ["invoke_agent", "the message", "ses_1"]) expect(sent).toContain(text);
});

test("traces of a process share one processor, and each arrives", async () => {
  setKeys();
  await Promise.all(["ses_1", "ses_2", "ses_3"].map(oneTurn));
  const sent = Buffer.concat(requests.map(({ bytes }) => bytes)).toString("latin1");
  for (const id of ["ses_1", "ses_2", "ses_3"]) expect(sent).toContain(id);
});

test.each(["1", "true", "yes", "on", "TRUE"])("DISABLE_LANGFUSE=%s turns it off", async (value) => {
  setKeys({ DISABLE_LANGFUSE: value });
  await oneTurn("ses_1");
  expect(requests).toEqual([]);
});

test.each(["0", "false", "no", "off", ""])("DISABLE_LANGFUSE=%j leaves it on", async (value) => {
  setKeys({ DISABLE_LANGFUSE: value });
  await oneTurn("ses_1");
  expect(requests.length).toBeGreaterThan(0);
});

test.each(["LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_HOST"])(
  "is off without %s",
  async (name) => {
    for (const value of [undefined, "", " "]) {
      setKeys({ [name]: value });
      await oneTurn("ses_1");
    }
    expect(requests).toEqual([]);
  },
);

test.each(["not a url", "ftp://x", "http://127.0.0.1:1"])(
  "the host %j costs nothing but the spans there",
  async (other) => {
    setKeys({ LANGFUSE_HOST: other });
    expect(await oneTurn("ses_1")).toBe(`${dir}/altimate-code/traces/ses_1.json`);
  },
);

test("withExporters does not read the variables", async () => {
  setKeys();
  const trace = Trace.withExporters([]);
  trace.startTrace("ses_1");
  await trace.endTrace();
  expect(requests).toEqual([]);
});
