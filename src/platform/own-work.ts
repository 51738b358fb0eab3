/**
 * Work of this package, which no instrumentation may trace: a span of a write would be written, which is another span.
 *
 * Instrumentations of `fs` and of timers replace functions. So calls of ours pass by the replacements. Where that is not
 * possible, because a replacement does not name the function below it, a span can be recognised by the moment at which
 * it starts.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { sharedState } from "./shared-state.js";

type AnyFunction = (...args: never[]) => unknown;

interface OwnWork {
  /** Calls of ours that have not returned, one inside the other. */
  depth: number;
  /** Made when it is needed: in Node 20 and 22 it costs every promise of the process some 100 ns. */
  asynchronous: AsyncLocalStorage<true> | undefined;
}

// The processor of one copy of this package leaves out what another copy does.
const work = sharedState<OwnWork>("own-work/1", () => ({ depth: 0, asynchronous: undefined }));

/** Whether the code that runs now was called by work of this package. */
export const isOwnWork = (): boolean => work.depth > 0 || work.asynchronous?.getStore() === true;

/** Whether the code that runs now was called by {@link asOwnCall} or a function of {@link ownCalls}. */
export const isOwnCall = (): boolean => work.depth > 0;

/** Runs `run`, which is synchronous, as work of this package. */
export function asOwnCall<T>(run: () => T): T {
  work.depth++;
  try {
    return run();
  } finally {
    work.depth--;
  }
}

/** Runs `run`, and all that it awaits and schedules, as work of this package. */
export function asOwnWork<T>(run: () => T): T {
  work.asynchronous ??= new AsyncLocalStorage();
  return work.asynchronous.run(true, run);
}

/** Runs code of the host that work of this package asks for, such as a getter: what the host starts there is its own. */
export function asHostCode<T>(run: () => T): T {
  if (!isOwnWork()) return run();
  const depthOutside = work.depth;
  work.depth = 0;
  try {
    return work.asynchronous?.getStore() === true ? work.asynchronous.exit(run) : run();
  } finally {
    work.depth = depthOutside;
  }
}

/** The function below all replacements of it. `__original`: shimmer, and `InstrumentationBase` of OpenTelemetry. */
function original<F extends AnyFunction>(replaced: F): F {
  let inner = replaced;
  for (;;) {
    const { __original } = inner as { readonly __original?: F };
    if (typeof __original !== "function") return inner;
    inner = __original;
  }
}

/** The members of a module that are functions. */
type Functions<M> = { readonly [K in keyof M as M[K] extends AnyFunction ? K : never]: M[K] };

/**
 * The functions of a module for calls of ours. Each call looks its function up, since an instrumentation may come or go at
 * any time, and a test may replace a function.
 */
export function ownCalls<M extends object>(module: M): Functions<M> {
  const names = Object.getOwnPropertyNames(module) as (keyof M)[];
  return Object.fromEntries(names.map((name) => [name, ownCall(module, name)])) as Functions<M>;
}

function ownCall<M extends object>(module: M, name: keyof M) {
  let seen: unknown;
  let target: AnyFunction;
  // Not by way of `asOwnCall`: a closure for each call would cost 10 ns.
  return (...args: never[]): unknown => {
    const present = module[name] as AnyFunction;
    if (present !== seen) {
      target = original(present);
      seen = present;
    }
    work.depth++;
    try {
      return target(...args);
    } finally {
      work.depth--;
    }
  };
}

/**
 * The function of the machine below all replacements at this moment: those of an instrumentation, and those of
 * `@sinonjs/fake-timers`, which sinon, Jest and Vitest use.
 */
export function machineFunction<F extends AnyFunction>(name: string, given: F): F {
  let inner = original(given);
  for (;;) {
    const { clock } = inner as { readonly clock?: Readonly<Record<string, unknown>> };
    const below = clock?.[`_${name}`];
    if (typeof below !== "function" || below === inner) return inner;
    inner = original(below as F);
  }
}
