/** An HTTP endpoint on this machine that answers as a test scripts it, and keeps its requests. */
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Received {
  readonly method: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export class HttpCollector {
  readonly received: Received[] = [];
  readonly #server: Server;
  readonly #waiting: (() => void)[] = [];

  constructor(answer: (response: ServerResponse, received: Received) => void) {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        const { method, headers } = request;
        const one = { method, headers, body: Buffer.concat(chunks).toString("utf8") };
        this.received.push(one);
        for (const resolve of this.#waiting.splice(0)) resolve();
        answer(response, one);
      });
    });
  }

  /** Starts it. Resolves with its URL. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/traces`;
  }

  /** Resolves after this many requests. */
  async gets(count: number): Promise<void> {
    while (this.received.length < count) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
