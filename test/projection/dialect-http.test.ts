import { describe, expect, test } from "vitest";
import { projectSpan } from "../../src/projection/project-span.js";
import { capturedSpans, spanOf } from "../support/projection-span.js";

function projected(attributes: Record<string, unknown>) {
  return projectSpan(spanOf({ attributes })).span;
}

describe("HTTP, captured", () => {
  const captured = capturedSpans("http");

  test("names request and response; the status is the span's", () => {
    expect(
      captured
        .map(projectSpan)
        .map(({ span }) => [span.kind, span.input, span.output, span.status, span.statusMessage]),
    ).toEqual([
      ["span", "GET http://127.0.0.1:8080/forecast?city=Paris", 200, "ok", undefined],
      ["span", "GET http://127.0.0.1:8080/forecast?city=Paris", 200, "ok", undefined],
      ["span", "GET http://127.0.0.1:8080/missing", 404, "ok", undefined],
      ["span", "GET http://127.0.0.1:8080/missing", 404, "error", "HTTP 404"],
      ["span", "GET http://127.0.0.1:8080/limited", 429, "ok", undefined],
      ["span", "GET http://127.0.0.1:8080/limited", 429, "error", "HTTP 429"],
      ["span", "GET http://127.0.0.1:8080/slow", undefined, "error", "The operation was aborted"],
      ["span", "GET http://127.0.0.1:8080/slow", 200, "ok", undefined],
      // An answer that is cut in its body: neither side records that.
      ["span", "GET http://127.0.0.1:8080/cut", 200, "ok", undefined],
      ["span", "GET http://127.0.0.1:8080/cut", 200, "ok", undefined],
      ["span", "GET http://127.0.0.1:9/nowhere", undefined, "error", "connect ECONNREFUSED 127.0.0.1:9"],
    ]);
  });

  test("keeps every attribute", () => {
    for (const span of captured) {
      expect(projectSpan(span).span.attributes).toStrictEqual({
        ...span.attributes,
        "otel.kind": span.kind === 1 ? "SERVER" : "CLIENT",
        "otel.scope.name": "@opentelemetry/instrumentation-http",
        "otel.scope.version": "0.223.0",
        // The status of the failed request has no message, the document has one: a replay takes none for the status.
        ...(span.status.code === 2 && !span.status.message && { "otel.status_code": "ERROR" }),
        ...(span.events.length > 0 && {
          "otel.events": span.events.map((event) => expect.objectContaining({ name: event.name })),
        }),
      });
    }
  });

  test("is no prompt", () => {
    expect(captured.map((span) => projectSpan(span).metadata.prompt)).toEqual(captured.map(() => undefined));
  });
});

describe("HTTP keys", () => {
  test("of the older conventions", () => {
    const attributes = {
      "http.method": "POST",
      "http.url": "https://example.com/a",
      "http.status_code": 503,
    };
    expect(projected(attributes)).toMatchObject({
      input: "POST https://example.com/a",
      output: 503,
      attributes,
    });
    expect(projected({ "http.method": "GET", "http.target": "/a?b" }).input).toBe("GET /a?b");
  });

  test("of a server that does not know its address", () => {
    expect(projected({ "http.request.method": "GET", "url.path": "/a", "url.query": "b" }).input).toBe(
      "GET /a?b",
    );
    expect(projected({ "http.request.method": "GET" })).not.toHaveProperty("input");
  });

  test("add nothing to a model call", () => {
    const span = projected({
      "gen_ai.operation.name": "chat",
      "http.request.method": "POST",
      "url.full": "https://m",
    });
    expect(span.kind).toBe("generation");
    expect(span).not.toHaveProperty("input");
  });
});
