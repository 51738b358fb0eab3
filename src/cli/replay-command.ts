/** `replay`: sends what a crash kept from a backend. */

import { resourceAttributesOf, unknownService } from "../otel/resource.js";
import { variableOf } from "../platform/environment.js";
import { nodeFileSystem } from "../platform/file-system.js";
import { SystemLiveness } from "../platform/liveness.js";
import { ReplayCheckpoint } from "../replay/checkpoint.js";
import { replayTraces } from "../replay/replay-traces.js";
import { oneLine, plural } from "../text/display-text.js";
import { defineCommand, type Options, oneOf, UsageError } from "./command.js";
import { OtlpSender } from "./otlp-sender.js";
import { type CatalogEntry, catalogEntry, findSessions } from "./session-catalog.js";

const options = {
  otlp: { value: "<url>", help: "OTLP over HTTP: http://localhost:4318, or the address of /v1/traces" },
  sessions: {
    value: "<which>",
    parse: oneOf("crashed", "ended"),
    help: "crashed (default), or ended: all that are over",
  },
  "dry-run": { help: "only report which sessions would be sent" },
} as const satisfies Options;

export const replayCommand = defineCommand({
  usage: "--otlp <url>",
  about:
    "Recovers dead sessions, and sends the spans of crashed ones to a backend: ids, times and attributes as they were. A checkpoint beside each document counts what the backend has taken, so that a replay can be repeated. Headers come from OTEL_EXPORTER_OTLP_HEADERS, and the resource of spans that were recorded without one from OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.",
  examples: [
    ["replay --otlp http://localhost:4318 --dry-run", "what would be sent"],
    ["replay --otlp http://localhost:4318", "send it, and remember it"],
  ],
  options,
  maxArgs: 0,
  async run({ terminal, dir, json, values }) {
    const { colors, env } = terminal;
    const which = values.sessions ?? "crashed";
    if (values.otlp === undefined) throw new UsageError("replay needs --otlp with the address of a backend");
    const url = tracesUrl(values.otlp);
    if (values["dry-run"]) {
      const pending = await pendingSessions(dir, which);
      if (json) terminal.printJson("replay/1", { dryRun: true, url, sessions: pending, failures: [] });
      else for (const { id, status } of pending) terminal.print(`${colors.bold(oneLine(id))}  ${status}`);
      if (!json) terminal.note(colors.dim(`${plural(pending.length, "session")} would be sent to ${url}`));
      return 0;
    }
    const sender = new OtlpSender(url, headersOf(env), terminal.signal);
    const resource = { attributes: { "service.name": unknownService, ...resourceAttributesOf(env) } };
    const report = await replayTraces(dir, sender, { sessions: which, resource });
    const failures = report.failures.map(({ path, spans, error }) => ({
      path,
      spans,
      error: error instanceof Error ? error.message : String(error),
    }));
    const { sessions, settled, running } = report;
    if (json) terminal.printJson("replay/1", { dryRun: false, url, sessions, failures, settled, running });
    else {
      for (const { id, path, spans } of sessions)
        terminal.print(`${colors.bold(oneLine(id ?? path))}  ${plural(spans, "span")} sent`);
      for (const [error, failed] of byError(failures)) {
        const [first] = failed;
        const what =
          failed.length > 1
            ? plural(failed.length, "session")
            : `${oneLine(first?.path ?? "")}, after ${plural(first?.spans ?? 0, "span")}`;
        terminal.note(`${colors.red("failed:")} ${what}: ${oneLine(error)}`);
      }
      terminal.note(
        colors.dim(
          `${plural(sessions.length, "session")} sent, ${settled} sent before, ${running} running, ${failures.length} failed`,
        ),
      );
    }
    return failures.length > 0 ? 1 : 0;
  },
});

/** A backend that is down fails all sessions with one error. */
function byError<Failure extends { readonly error: string }>(
  failures: readonly Failure[],
): Map<string, Failure[]> {
  const groups = new Map<string, Failure[]>();
  for (const failure of failures) groups.set(failure.error, [...(groups.get(failure.error) ?? []), failure]);
  return groups;
}

/** `/v1/traces` is added to an address without a path, as to `OTEL_EXPORTER_OTLP_ENDPOINT`. */
function tracesUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new UsageError(`--otlp: ${JSON.stringify(text)} is no address such as http://localhost:4318`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new UsageError(`--otlp: ${JSON.stringify(text)} does not begin with http:// or https://`);
  if (url.pathname === "/") url.pathname = "/v1/traces";
  return url.href;
}

/** Pairs of `OTEL_EXPORTER_OTLP_HEADERS`, percent-encoded (OpenTelemetry specification, "Specifying headers"). */
function headersOf(env: Parameters<typeof variableOf>[0]): Record<string, string> {
  const text =
    variableOf(env, "OTEL_EXPORTER_OTLP_TRACES_HEADERS") ?? variableOf(env, "OTEL_EXPORTER_OTLP_HEADERS");
  return resourceAttributesOf({ OTEL_RESOURCE_ATTRIBUTES: text });
}

/** Sessions that a replay would send: those that it chooses, unless their checkpoint covers the document. */
async function pendingSessions(
  dir: string,
  which: "crashed" | "ended",
): Promise<{ id: string; path: string; status: string }[]> {
  const token = new SystemLiveness(nodeFileSystem.sync).newToken();
  const pending: { id: string; path: string; status: string }[] = [];
  for (const found of findSessions(dir)) {
    const entry = await catalogEntry(found);
    if (!entry || entry.writer === "alive" || !isChosen(entry, which)) continue;
    const checkpoint = await new ReplayCheckpoint(nodeFileSystem, found.files, token).read();
    if (entry.writer === "none" && checkpoint?.done?.bytes === entry.bytes) continue;
    pending.push({ id: entry.id, path: entry.path, status: entry.state });
  }
  return pending;
}

const isChosen = ({ state }: CatalogEntry, which: "crashed" | "ended"): boolean =>
  which === "crashed" ? state === "crashed" : state !== "running" && state !== "idle" && state !== "damaged";
