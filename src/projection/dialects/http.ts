/** HTTP client and server spans, in the stable and the older semantic conventions. */
import type { Dialect, SpanView } from "../dialect.js";

export const http: Dialect = {
  name: "http",
  matches: (view) => view.has("http.request.method") || view.has("http.method"),
  /** Copies the request and the status code into `input` and `output`; every attribute stays. */
  read(view: SpanView) {
    // For a model call over HTTP, an earlier dialect has filled better fields.
    if (view.fields.kind !== undefined) return;
    view.fields.kind = "span";
    const method = view.text("http.request.method") ?? view.text("http.method");
    const url = view.text("url.full") ?? view.text("http.url") ?? serverUrl(view);
    if (method !== undefined && url !== undefined) view.fields.input ??= `${method} ${url}`;
    const status =
      view.attributes.get("http.response.status_code") ?? view.attributes.get("http.status_code");
    if (typeof status === "number") view.fields.output ??= status;
  },
};

/** The URL of a server span, whose attributes are the parts of it. */
function serverUrl(view: SpanView): string | undefined {
  const path = view.text("url.path");
  if (path === undefined) return view.text("http.target") ?? view.text("http.route");
  const query = view.text("url.query");
  const target = query === undefined ? path : `${path}?${query}`;
  const address = view.text("server.address");
  if (address === undefined) return target;
  const port = view.attributes.get("server.port");
  const authority = typeof port === "number" ? `${address}:${port}` : address;
  return `${view.text("url.scheme") ?? "http"}://${authority}${target}`;
}
