/** `open`: its server answers one browser of this machine, and follows what happens. */

import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { command, commandDirectory, emptyDirectory } from "../support/command-stage.js";
import { followedSession } from "../support/followed-session.js";
import { documentOf, rootSpan, toolSpan } from "../support/trace-documents.js";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

class Opened {
  readonly origin: string;
  readonly path: string;
  readonly port: number;
  #cookie = "";

  constructor(url: string) {
    const { origin, pathname, search, port } = new URL(url);
    this.origin = origin;
    this.path = pathname + search;
    this.port = Number(port);
  }

  /** Uses the address, as a browser does. */
  async enter(): Promise<Answer> {
    const answer = await this.get(this.path);
    const [cookie = ""] = answer.headers["set-cookie"] ?? [];
    this.#cookie = (cookie.split(";")[0] as string) ?? "";
    return answer;
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}, method = "GET"): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const cookie = this.#cookie === "" ? {} : { Cookie: this.#cookie };
      const sent = request(
        { host: "127.0.0.1", port: this.port, path, method, headers: { ...cookie, ...headers } },
        (response) => {
          let body = "";
          response.setEncoding("utf8");
          response.on("data", (text) => {
            body += text;
          });
          response.on("end", () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
          );
        },
      );
      sent.on("error", reject);
      sent.end();
    });
  }

  /** The messages of a session. */
  async *messages(session: string): AsyncGenerator<{ type: string; head: Head; rows: Row[] }> {
    const stop = new AbortController();
    const response = await fetch(`${this.origin}/api/view?session=${session}`, {
      headers: { Cookie: this.#cookie },
      signal: stop.signal,
    });
    let text = "";
    try {
      for await (const part of response.body as unknown as AsyncIterable<Uint8Array>) {
        text += Buffer.from(part).toString("utf8");
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          yield JSON.parse(text.slice("data: ".length, end));
          text = text.slice(end + 2);
        }
      }
    } finally {
      stop.abort();
    }
  }
}

interface Head {
  readonly state: string;
  readonly writer: string;
  readonly report: { readonly evidence: string };
}
interface Row {
  readonly n: number;
  readonly name: string;
  readonly state: string;
}

async function opened(dir: string, args: readonly string[] = []): Promise<Opened> {
  const abort = new AbortController();
  let ended: Promise<{ readonly code: number }> | undefined;
  const url = await new Promise<string>((resolve) => {
    ended = command(dir, ["open", ...args, "--no-open", "--json"], {
      signal: abort.signal,
      onOutput: (text) => resolve(JSON.parse(text).url),
    });
  });
  onTestFinished(async () => {
    abort.abort("SIGINT");
    expect((await ended)?.code).toBe(130);
  });
  return new Opened(url);
}

test("P9 the address works once; without its cookie nothing is answered", async () => {
  const server = await opened(commandDirectory());
  expect(server.origin).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const paths = [
    "/",
    "/api/sessions",
    "/api/view?session=ses_finish",
    "/?token=x",
    "/api/spans?session=x&n=0",
  ];
  for (const path of paths) expect((await server.get(path)).status).toBe(403);
  const entered = await server.enter();
  expect(entered).toMatchObject({ status: 302, headers: { location: "/" } });
  expect(String(entered.headers["set-cookie"])).toMatch(/; HttpOnly; SameSite=Strict; Path=\/$/);
  const page = await server.get("/");
  expect(page).toMatchObject({ status: 200, headers: { "content-type": "text/html; charset=utf-8" } });
  expect(page.body).toContain("<!doctype html>");
  expect(page.headers).toMatchObject({
    "cache-control": "no-store",
    "content-security-policy": "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  });
  const second = new Opened(`${server.origin}${server.path}`);
  expect((await second.enter()).status).toBe(403);
});

test("P9 a request under another name, of another site, or of another kind is refused", async () => {
  const server = await opened(commandDirectory());
  const token = server.path;
  for (const Host of [
    "evil.example",
    `evil.example:${server.port}`,
    "127.0.0.1",
    `127.0.0.1:${server.port + 1}`,
    `[::1]:${server.port}`,
  ])
    expect((await server.get(token, { Host })).status).toBe(421);
  // None of them has used up the address.
  expect((await server.enter()).status).toBe(302);
  expect((await server.get("/api/sessions", { Host: "evil.example" })).status).toBe(421);
  for (const site of ["cross-site", "same-site"])
    expect((await server.get("/api/sessions", { "Sec-Fetch-Site": site })).status).toBe(403);
  expect((await server.get("/api/sessions", {}, "POST")).status).toBe(405);
  expect((await server.get("/etc/passwd")).status).toBe(404);
  expect((await server.get("/api/view?session=../../etc/passwd")).status).toBe(404);
});

test("lists what `list` lists; gives spans and finds texts of a session that is looked at", async () => {
  const server = await opened(commandDirectory());
  await server.enter();
  const { sessions } = JSON.parse((await server.get("/api/sessions")).body);
  expect(sessions.map(({ id }: { id: string }) => id)).toContain("ses_killed");
  for await (const { type, rows, head } of server.messages("ses_finish")) {
    expect(type).toBe("view");
    expect(head).toMatchObject({ state: "completed", writer: "none" });
    const tool = rows.find(({ name }) => name === "sql_execute") as Row;
    const { spans } = JSON.parse((await server.get(`/api/spans?session=ses_finish&n=${tool.n},9999,x`)).body);
    expect(spans).toEqual([[tool.n, expect.objectContaining({ output: "count\n42" })]]);
    const { matches } = JSON.parse(
      (await server.get("/api/search?session=ses_finish&q=FROM%20fct_orders")).body,
    );
    expect(matches).toEqual([
      expect.objectContaining({
        n: tool.n,
        field: "input.sql",
        snippet: expect.stringContaining("fct_orders"),
      }),
    ]);
    break;
  }
});

test("what cannot be read is reported with its reason", async () => {
  const server = await opened(commandDirectory());
  await server.enter();
  for (const name of ["ses_empty", "package"]) {
    for await (const message of server.messages(name)) {
      expect(message).toEqual({
        type: "unreadable",
        reason: expect.stringMatching(/is not a trace document/),
      });
      break;
    }
  }
});

test("P14 follows a process that records and is killed: changed rows only, under the numbers they had", async () => {
  const dir = emptyDirectory();
  const { child, step } = await followedSession(dir);
  await step("message");
  const server = await opened(dir, ["ses_1"]);
  await server.enter();
  let tool: Row | undefined;
  let isKilled = false;
  let stage = 0;
  const seen = new Map<number, string>();
  for await (const { type, head, rows } of server.messages("ses_1")) {
    expect(type).toBe(seen.size === 0 ? "view" : "delta");
    for (const row of rows) {
      const text = JSON.stringify(row);
      expect(seen.get(row.n)).not.toBe(text);
      seen.set(row.n, text);
    }
    const bash = rows.find(({ name }) => name === "bash");
    if (stage === 0 && head.writer === "alive") {
      stage = 1;
      await step("step");
      await step("tool");
    } else if (stage === 1 && bash?.state === "running") {
      tool = bash;
      stage = 2;
      await step("result");
    } else if (stage === 2 && bash?.state === "ok") {
      expect(bash.n).toBe(tool?.n);
      stage = 3;
      child.kill("SIGKILL");
    } else if (stage === 3 && head.writer === "gone") {
      expect(head).toMatchObject({
        state: "crashed",
        report: { evidence: expect.stringContaining("is gone") },
      });
      isKilled = true;
      break;
    }
  }
  expect(isKilled).toBe(true);
});

test("a session knows the session that started it, and those that it started, also after they change", async () => {
  const dir = emptyDirectory();
  const write = (id: string, parent?: string) => {
    const attributes = parent && {
      "crash_safe_file.parent_session.id": parent,
      "crash_safe_file.parent_session.span_id": "tool1",
    };
    const root = rootSpan({ name: id, ...(attributes && { attributes }) });
    writeFileSync(`${dir}/${id}.json`, JSON.stringify(documentOf(id, { spans: [toolSpan(1), root] })));
  };
  write("main");
  write("child", "main");
  write("grandchild", "child");
  write("stray", "nobody");
  const server = await opened(dir);
  await server.enter();
  const related = async (name: string) => JSON.parse((await server.get(`/api/related?session=${name}`)).body);
  const child = { name: "child", id: "child", title: "title of child", state: "completed", spanId: "tool1" };
  const main = { ...child, name: "main", id: "main", title: "title of main" };
  const grandchild = { ...child, name: "grandchild", id: "grandchild", title: "title of grandchild" };
  expect(await related("main")).toEqual({ children: [child] });
  expect(await related("child")).toEqual({ parent: main, children: [grandchild] });
  expect(await related("stray")).toEqual({ children: [] });
  expect(await related("nonsense")).toEqual({ children: [] });
  write("stray", "main");
  expect((await related("main")).children.map(({ id }: { id: string }) => id)).toEqual(["child", "stray"]);
});
