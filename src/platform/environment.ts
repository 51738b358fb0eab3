/** The environment variables of the process. Only this file reads them; other files take them as an argument. */

import { tryOr } from "./errors.js";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. */
export const environment = (): Environment => ("Deno" in globalThis ? readable : process.env);

/** Deno throws for a variable that the program may not read (`--allow-env`): such a variable counts as not set. */
const readable: Environment = new Proxy<Record<string, string | undefined>>(
  {},
  {
    get: (_, name) => tryOr(() => process.env[String(name)], undefined),
    ownKeys: () => tryOr(() => Object.keys(process.env), []),
    getOwnPropertyDescriptor: () => ({ configurable: true, enumerable: true }),
  },
);

/** The text of a variable. An empty text counts as not set (OpenTelemetry specification, "Environment variables"). */
export function variableOf(env: Environment, variable: string): string | undefined {
  return env[variable]?.trim() || undefined;
}

/** The whole number that a text of digits stands for; else the text, which the check of the option refuses. */
export const numberIn = (text: string): unknown => (/^\d+$/.test(text) ? Number(text) : text);

/** The thread pool of Node and Bun, as libuv reads its variable: https://docs.libuv.org/en/v1.x/threadpool.html. */
const usualThreads = 4;

/** Half of the threads of the pool, at least one: the other half is the host's. At most 8, which suffices for any disk. */
export function halfOfThreadPool(env: Environment): number {
  const given = Number(env.UV_THREADPOOL_SIZE ?? usualThreads);
  return Math.min(8, Math.max(1, Math.floor((given > 0 ? given : usualThreads) / 2)));
}
