/** Ends of a server that has a request in flight: by SIGTERM, with a listener that drains and without, and as PID 1. */
import { execFileSync } from "node:child_process";
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { Server } from "./server.mjs";

const reader = new URL("../../build/reader.mjs", import.meta.url).href;

/** Starts a server with one finished request and one in flight. */
async function busyServer(root, options) {
  const server = await Server.start(root, "trace", options);
  await (await fetch(`${server.url}/chat/finished`)).text();
  const inFlight = fetch(`${server.url}/slow/in-flight`).then(
    (response) => response.text(),
    () => "no answer",
  );
  // The server answers after it has begun the request before.
  while ((await server.counts()).started < 2);
  return { server, inFlight };
}

function endOf({ documents }, end, answer) {
  const statuses = [...documents].map(([id, { summary }]) => `${id} ${summary.status}`);
  return { end, answer, documents: statuses.sort().join(", ") };
}

const cutSpans = (document) =>
  document?.spans.filter(({ interrupted, kind }) => interrupted && kind !== "session") ?? [];

/** One SIGTERM, and the process ends. */
export async function ended(root, { drains, isInit }, expect) {
  const { server, inFlight } = await busyServer(root, { drains, isInit });
  server.signal("SIGTERM");
  const answer = await inFlight;
  const [code, signal] = await server.gone;
  const { documents, others } = server.left;
  expect("other files", others, []);
  expect("documents", [...documents.keys()].sort(), ["finished", "in-flight"]);
  expect("status of the finished session", documents.get("finished")?.summary.status, "completed");
  const cut = documents.get("in-flight");
  const { status, detector = "none", interrupted } = cut?.summary ?? {};
  if (drains) {
    expect("answer", answer, "chat");
    expect("end of the process", code, 0);
    const whole = { status: "completed", detector: "none", interrupted: 0 };
    expect("session in flight", { status, detector, interrupted }, whole);
    expect("interrupted spans", cutSpans(cut).length, 0);
  } else {
    expect("end of the process", signal ?? code, "SIGTERM");
    const spans = cutSpans(cut).length;
    const crash = { status: "crashed", detector: "SIGTERM", interrupted: spans };
    expect("session in flight", { status, detector, interrupted }, crash);
    expect("interrupted spans", spans > 0, true);
  }
  return endOf(server.left, signal ?? `exit ${code}`, answer);
}

/** Signals have no default effect on PID 1: the server goes on, and what it does then must be recorded. */
export async function survivedAsInit(root, expect) {
  const { server, inFlight } = await busyServer(root, { isInit: true });
  server.signal("SIGTERM");
  const answer = await inFlight;
  await (await fetch(`${server.url}/chat/after`)).text();
  // The span of a request ends after its answer.
  while ((await server.counts()).openSpans > 0);
  server.signal("SIGKILL");
  await server.gone;
  // From here nothing shows whether the owner lives, as in the next container: two leases pass.
  const then = Date.now() / 1_000 - 120;
  for (const file of server.files) utimesSync(join(server.dir, file), then, then);
  const recover = `import { recoverTraces } from "${reader}"; await recoverTraces(process.argv[1]);`;
  execFileSync(process.execPath, ["--input-type=module", "-e", recover, server.dir]);
  const { documents, others } = server.left;
  expect("answer", answer, "chat");
  expect("other files", others, []);
  expect("documents", [...documents.keys()].sort(), ["after", "finished", "in-flight"]);
  for (const [id, document] of documents) {
    // No span of the session in flight starts after the signal: its verdict stands, with all ends.
    expect(`status of ${id}`, document.summary.status, id === "in-flight" ? "crashed" : "completed");
    const generations = document.spans.filter(({ name }) => name === "chat gpt");
    expect(`generations of ${id}`, generations.length, 1);
    expect(`interrupted spans of ${id}`, cutSpans(document).length, 0);
  }
  return endOf(server.left, "SIGKILL", answer);
}
