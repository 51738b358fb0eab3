/**
 * The server of the viewer, for one person on this machine. It answers only requests that bear its own address in `Host`
 * (a page of another site can make its name point to 127.0.0.1: DNS rebinding) and the cookie that the address of `open`
 * gave, once.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { listedJson } from "./list-command.js";
import { newestFirst } from "./newest-sessions.js";
import {
  type CatalogEntry,
  catalogEntry,
  type FoundSession,
  LivenessNow,
  type SessionState,
  versionOf,
} from "./session-catalog.js";
import { sessionsIn } from "./session-readings.js";
import { findText } from "./text-search.js";
import { viewParts } from "./view-parts.js";
import { viewerPage } from "./viewer-page.js";
import { WatchedSession } from "./watched-session.js";

const host = "127.0.0.1";
const mostMatches = 500;
const mostSpans = 200;
const longestTurnMillis = 20;

const headers = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": "frame-ancestors 'none'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
} as const;

const secret = (): string => randomBytes(24).toString("base64url");

interface KnownEntry {
  readonly version: string;
  /** `undefined`: a file of another program. */
  readonly entry: CatalogEntry | undefined;
}

/** A session that started another one, or was started by it. */
export interface RelatedSession {
  readonly name: string;
  readonly id: string;
  readonly title: string;
  readonly state: SessionState;
  /** The span of the parent session that started the other one. */
  readonly spanId?: string | undefined;
}

export interface RelatedSessions {
  readonly parent?: RelatedSession;
  readonly children: readonly RelatedSession[];
}

const relatedJson = (
  { name, id, metadata, state }: CatalogEntry,
  spanId: string | undefined,
): RelatedSession => ({ name, id, title: metadata.title || id, state, spanId });

export class ViewerServer {
  readonly #dir: string;
  /** A session that need not be in the directory. */
  readonly #opened: FoundSession | undefined;
  readonly #now: () => number;
  readonly #watched = new Map<string, { readonly session: WatchedSession; pages: number }>();
  readonly #server: Server;
  #known: ReadonlyMap<string, KnownEntry> = new Map();
  /** The token of the address; `undefined` once it was used. */
  #token: string | undefined = secret();
  readonly #cookie = secret();

  constructor(dir: string, opened: FoundSession | undefined, now: () => number) {
    this.#dir = dir;
    this.#opened = opened;
    this.#now = now;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        if (!response.headersSent) send(response, 500, "text/plain", `${String(error)}\n`);
        else response.end();
      });
    });
  }

  /** Listens on a free port, and returns the address for the browser. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, host, resolve);
    });
    const session = this.#opened ? `#session=${encodeURIComponent(this.#opened.files.name)}` : "";
    return `http://${host}:${this.#port}/?token=${this.#token}${session}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const known = [`${host}:${this.#port}`, `localhost:${this.#port}`];
    if (!known.includes(request.headers.host ?? ""))
      return send(response, 421, "text/plain", "This server answers under its own address only.\n");
    if (request.method !== "GET") return send(response, 405, "text/plain", "GET only.\n");
    const site = request.headers["sec-fetch-site"];
    const url = new URL(request.url ?? "/", `http://${host}`);
    const token = url.searchParams.get("token");
    // A link on another site may lead here, and brings no cookie; no other request of another site is answered.
    if (site !== undefined && !["none", "same-origin"].includes(String(site)) && url.pathname !== "/")
      return send(response, 403, "text/plain", "Not for other sites.\n");
    if (url.pathname === "/" && token !== null && this.#token !== undefined && isEqual(token, this.#token)) {
      this.#token = undefined;
      const cookie = `${this.#cookieName}=${this.#cookie}; HttpOnly; SameSite=Strict; Path=/`;
      response.writeHead(302, { ...headers, Location: "/", "Set-Cookie": cookie }).end();
      return;
    }
    if (!this.#hasCookie(request)) {
      const text = "This address was used, or is not complete. Run `crash-safe-file open` again.\n";
      return send(response, 403, "text/plain", text);
    }
    const session = url.searchParams.get("session") ?? "";
    switch (url.pathname) {
      case "/":
        return send(response, 200, "text/html", viewerPage());
      case "/api/sessions":
        return sendJson(response, await this.#sessions());
      case "/api/related":
        return sendJson(response, await this.#related(session));
      case "/api/view":
        return this.#follow(session, response);
      case "/api/spans":
        return sendJson(response, this.#spans(session, url.searchParams.get("n") ?? ""));
      case "/api/search":
        return sendJson(
          response,
          await this.#search(session, url.searchParams.get("q") ?? "", () => !response.destroyed),
        );
      default:
        return send(response, 404, "text/plain", "There is nothing here.\n");
    }
  }

  /** A browser sends the cookies of all ports of a host. */
  get #cookieName(): string {
    return `crash-safe-file-${this.#port}`;
  }

  #hasCookie({ headers: { cookie = "" } }: IncomingMessage): boolean {
    const start = `${this.#cookieName}=`;
    const found = cookie.split("; ").find((one) => one.startsWith(start));
    return found !== undefined && isEqual(found.slice(start.length), this.#cookie);
  }

  #find(name: string): FoundSession | undefined {
    if (this.#opened?.files.name === name) return this.#opened;
    return sessionsIn(this.#dir).find(({ files }) => files.name === name);
  }

  async #sessions(): Promise<object> {
    const entries = await this.#entries(sessionsIn(this.#dir));
    const now = this.#now();
    return { now, dir: this.#dir, sessions: entries.sort(newestFirst).map(listedJson(now)) };
  }

  /** The session that started a session, and those that it started. */
  async #related(name: string): Promise<RelatedSessions> {
    const found = sessionsIn(this.#opened?.files.dir ?? this.#dir);
    const entries = await this.#entries(found);
    const own = entries.find((entry) => entry.name === name);
    const parent = own?.parent && entries.find(({ id }) => id === own.parent?.id);
    return {
      ...(parent && { parent: relatedJson(parent, own.parent?.spanId) }),
      children: entries
        .filter((entry) => own !== undefined && entry !== own && entry.parent?.id === own.id)
        .sort((a, b) => a.startedAt - b.startedAt)
        .map((entry) => relatedJson(entry, entry.parent?.spanId)),
    };
  }

  /** What a listing shows of these sessions. Those whose files have not changed are not read again. */
  async #entries(found: readonly FoundSession[]): Promise<CatalogEntry[]> {
    const liveness = new LivenessNow();
    const entries: CatalogEntry[] = [];
    const known = new Map<string, KnownEntry>();
    for (const one of found) {
      const version = versionOf(one, liveness);
      const before = this.#known.get(one.path);
      const entry = before?.version === version ? before.entry : await catalogEntry(one, liveness);
      known.set(one.path, { version, entry });
      if (entry) entries.push(entry);
    }
    this.#known = known;
    return entries;
  }

  /** Server-sent events: the view, then what changes. */
  #follow(name: string, response: ServerResponse): void {
    const found = this.#find(name);
    if (!found) {
      send(response, 404, "text/plain", "There is no such session.\n");
      return;
    }
    response.writeHead(200, { ...headers, "Content-Type": "text/event-stream; charset=utf-8" });
    const watched = this.#watched.get(name) ?? { session: new WatchedSession(found, this.#now), pages: 0 };
    this.#watched.set(name, watched);
    watched.pages++;
    const leave = watched.session.watch((message) => {
      const parts = "head" in message ? viewParts(message.type, message.head, message.rows) : [message];
      for (const part of parts) response.write(`data: ${JSON.stringify(part)}\n\n`);
    });
    response.once("close", () => {
      leave();
      // The spans of a session without a page are not needed any more.
      if (--watched.pages === 0) this.#watched.delete(name);
    });
  }

  #spans(name: string, numbers: string): object {
    const session = this.#watched.get(name)?.session;
    const wanted = numbers.split(",", mostSpans).map(Number);
    const spans = wanted.map((n) => [n, session?.span(n)] as const);
    return { spans: spans.filter(([, span]) => span !== undefined) };
  }

  async #search(name: string, text: string, isWanted: () => boolean): Promise<object> {
    const wanted = text.toLowerCase();
    const matches: object[] = [];
    const session = this.#watched.get(name)?.session;
    let turn = performance.now();
    for (const n of session?.numbers ?? []) {
      const match = findText(session?.span(n), wanted);
      if (match) matches.push({ n, ...match });
      if (matches.length >= mostMatches || !isWanted()) break;
      // A long session takes seconds: other requests are answered in between.
      if (performance.now() - turn < longestTurnMillis) continue;
      await new Promise((resolve) => setImmediate(resolve));
      turn = performance.now();
    }
    return { matches, isCut: matches.length >= mostMatches };
  }
}

function isEqual(given: string, known: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(known)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { ...headers, "Content-Type": `${type}; charset=utf-8` }).end(body);
}

const sendJson = (response: ServerResponse, value: object): void =>
  send(response, 200, "application/json", JSON.stringify(value));
