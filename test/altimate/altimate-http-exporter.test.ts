/** Documents sent to an HTTP endpoint. */
import type { ServerResponse } from "node:http";
import { afterEach, describe, expect, test, vi } from "vitest";
import { HttpExporter } from "../../src/altimate/trace-http-exporter.js";
import type { TraceFile } from "../../src/format/trace-file.js";
import { HttpCollector, type Received } from "../support/http-collector.js";
import { documentOf, toolSpan } from "../support/trace-documents.js";

const opened: HttpCollector[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(opened.splice(0).map((collector) => collector.close()));
});

async function endpoint(
  answer: (response: ServerResponse, received: Received) => void,
): Promise<{ collector: HttpCollector; url: string }> {
  const collector = new HttpCollector(answer);
  opened.push(collector);
  return { collector, url: await collector.listen() };
}

const answering = (body: string, status = 200) =>
  endpoint((response) => response.writeHead(status).end(body));

describe("the request", () => {
  test("is the document as JSON, by POST, with the given headers", async () => {
    const { collector, url } = await answering("{}");
    const document = documentOf("ses_1");
    await new HttpExporter("cloud", url, { Authorization: "Bearer abc", "X-Team": "data" }).export(document);
    expect(collector.received).toHaveLength(1);
    const { method, headers, body } = collector.received[0] as Received;
    expect(method).toBe("POST");
    expect(headers["content-type"]).toBe("application/json");
    expect(headers.authorization).toBe("Bearer abc");
    expect(headers["x-team"]).toBe("data");
    expect(JSON.parse(body)).toEqual(document);
  });

  test("D3 lacks only what JSON cannot represent", async () => {
    const { collector, url } = await answering("{}");
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const document = documentOf("ses_1");
    document.spans.push(toolSpan(9, { input: circle, output: 1n as never }), toolSpan(10));
    expect(await new HttpExporter("cloud", url).export(document)).toBe("cloud: exported");
    const sent: TraceFile = JSON.parse((collector.received[0] as Received).body);
    expect(sent.spans.map(({ spanId }) => spanId)).toEqual(document.spans.map(({ spanId }) => spanId));
    expect(sent.spans.at(-2)).toMatchObject({ input: { self: "[circular]" }, output: "1" });
    expect(sent).toMatchObject({ id: "ses_1", metadata: document.metadata, summary: document.summary });
  });
});

describe("the result", () => {
  test.each([
    ["the url that the endpoint returns", '{"url":"https://x/1"}', "https://x/1"],
    ["an empty url too", '{"url":""}', ""],
    ["its name without a url", '{"ok":true}', "cloud: exported"],
    ["its name where the url is no string", '{"url":7}', "cloud: exported"],
    ["its name where the answer is null", "null", "cloud: exported"],
    ["its name where the answer is no JSON", "<html>", "cloud: exported"],
    ["its name where the answer is empty", "", "cloud: exported"],
  ])("is %s", async (_, body, result) => {
    const { url } = await answering(body);
    expect(await new HttpExporter("cloud", url).export(documentOf("ses_1"))).toBe(result);
  });

  test.each([400, 401, 404, 500, 503])("P6 is undefined on status %i", async (status) => {
    const { url } = await answering('{"url":"https://x/1"}', status);
    expect(await new HttpExporter("cloud", url).export(documentOf("ses_1"))).toBeUndefined();
  });

  test("P6 is undefined where no server listens, the connection breaks, or the URL is invalid", async () => {
    const { collector, url } = await answering("{}");
    const cut = await endpoint((response) => response.destroy());
    const half = await endpoint((response) => {
      response.writeHead(200, { "Content-Length": "100" }).write("{");
      response.destroy();
    });
    await collector.close();
    for (const target of [url, cut.url, half.url, "", "no url", "ftp://127.0.0.1/", undefined, null, 7]) {
      expect(await new HttpExporter("cloud", target as never).export(documentOf("ses_1"))).toBeUndefined();
    }
  });

  test("P6 is undefined for a value that is no document, or cannot be read", async () => {
    const { collector, url } = await answering("{}");
    const hostile = new Proxy({} as TraceFile, {
      get: () => {
        throw new Error("no");
      },
    });
    for (const document of [undefined, null, 7, "text", hostile]) {
      expect(await new HttpExporter("cloud", url).export(document as never)).toBeUndefined();
    }
    expect(collector.received).toHaveLength(0);
  });

  test("P6 is undefined for invalid headers", async () => {
    const { url } = await answering("{}");
    const headers = [null, undefined, 7, { "bad header\n": "x" }] as never[];
    const results = headers.map((given) => new HttpExporter("cloud", url, given).export(documentOf("ses_1")));
    expect(await Promise.all(results)).toEqual([
      "cloud: exported",
      "cloud: exported",
      "cloud: exported",
      undefined,
    ]);
  });

  test("P6 is undefined after five seconds, whether the endpoint is silent or stops in the middle", async () => {
    const timeout = vi.spyOn(AbortSignal, "timeout");
    const silent = await endpoint(() => {});
    const stuck = await endpoint((response) => void response.writeHead(200).write('{"url":'));
    const results = [silent, stuck].map(({ url }) =>
      new HttpExporter("cloud", url).export(documentOf("ses_1")),
    );
    expect(await Promise.all(results)).toEqual([undefined, undefined]);
    expect(timeout.mock.calls).toEqual([[5_000], [5_000]]);
  });
});
