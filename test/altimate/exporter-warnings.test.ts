/** Warnings about exporters reach the host: through its logger, or else through `diag`. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { HttpExporter, Trace, type TraceExporter, type TraceLogger } from "../../src/altimate.js";
import { documentOf } from "../support/trace-documents.js";

let server: Server;
let url: string;
beforeEach(async () => {
  server = createServer((_, response) => response.writeHead(503).end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  diag.disable();
  await new Promise((resolve) => server.close(resolve));
});

const failing: TraceExporter = {
  name: "mine",
  export: async () => {
    throw new Error("no");
  },
};

async function end(exporters: TraceExporter[], logger?: TraceLogger): Promise<string | undefined> {
  const trace = Trace.withExporters(exporters, logger && { logger });
  trace.startTrace("ses_1");
  return trace.endTrace();
}

test("the logger gets what an exporter of the host throws, with its name and the session", async () => {
  const warn = vi.fn();
  expect(await end([failing], { warn })).toBeUndefined();
  const fields = { exporter: "mine", sessionId: "ses_1", error: new Error("no") };
  expect(warn.mock.calls).toEqual([["exporter mine failed", fields]]);
});

test("the logger of an HTTP exporter gets why the endpoint was not reached, or refused", async () => {
  const warn = vi.fn();
  const exporters = [url, "http://127.0.0.1:1"].map(
    (to) => new HttpExporter("cloud", to, {}, { logger: { warn } }),
  );
  for (const exporter of exporters) expect(await exporter.export(documentOf("ses_1"))).toBeUndefined();
  expect(warn.mock.calls.map(([message, { error }]) => [message, String(error)])).toEqual([
    ["exporter cloud failed", "Error: the endpoint answered with status 503"],
    ["exporter cloud failed", expect.stringMatching(/fetch failed|ECONNREFUSED/)],
  ]);
});

test("without a logger, diag gets the warnings", async () => {
  const warn = vi.fn();
  diag.setLogger(
    { ...console, verbose() {}, warn },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  await end([failing, new HttpExporter("cloud", url)]);
  expect(warn.mock.calls.map(([message]) => message)).toEqual(
    expect.arrayContaining(["Trace: exporter mine failed", "HttpExporter: exporter cloud failed"]),
  );
});

test("P6 a logger that throws, or that is none, changes nothing", async () => {
  const thrower = {
    warn: () => {
      throw new Error("logger");
    },
  };
  for (const logger of [thrower, {}, null, 7]) expect(await end([failing], logger as never)).toBeUndefined();
});
