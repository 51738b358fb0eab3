/** Calls of ours pass by instrumentations and fake timers, and are recognised where they cannot. */
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import nodeTimers from "node:timers";
import { context, type Span } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor } from "../../src/index.js";
import { UNTRACED, untraced, untracedClock } from "../../src/otel/untraced.js";
import { systemClock, timers } from "../../src/platform/clock.js";
import { nodeFileSystem } from "../../src/platform/file-system.js";
import { isOwnWork } from "../../src/platform/own-work.js";
import { Stage } from "../support/session-stage.js";

type Replaceable = Record<string, (...args: unknown[]) => unknown>;

/** Calls to put back what a test replaced. */
const undo: (() => void)[] = [];
let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => {
  for (const one of undo.splice(0).reverse()) one();
  vi.useRealTimers();
  context.disable();
  stage.remove();
});

/** Replaces a function, as an instrumentation does; `original` is what shimmer sets. */
function wrap(module: object, name: string, onCall: () => void, setsOriginal = true): void {
  const target = module as Replaceable;
  const below = target[name] as (...args: unknown[]) => unknown;
  const wrapper = (...args: unknown[]) => {
    onCall();
    return below(...args);
  };
  target[name] = setsOriginal ? Object.assign(wrapper, { __original: below }) : wrapper;
  undo.push(() => {
    target[name] = below;
  });
}

/** Functions that can be replaced: `fs.Utf8Stream` of Node 24 is a getter without a setter. */
const names = (module: object): string[] =>
  Object.entries(Object.getOwnPropertyDescriptors(module)).flatMap(
    ([name, { value, set, enumerable }]: [string, PropertyDescriptor]) => {
      const isReplaceable = typeof value === "function" || set !== undefined;
      return enumerable && isReplaceable && typeof (module as Replaceable)[name] === "function" ? [name] : [];
    },
  );

/** Every call of the port. Each must have succeeded at least once. */
async function callAll(dir: string): Promise<void> {
  const { sync, async: later } = nodeFileSystem;
  const bytes = Buffer.from("text");
  for (const kind of ["sync", "async"]) {
    const calls = (kind === "sync" ? sync : later) as typeof later;
    const at = (name: string) => join(dir, kind, name);
    await calls.mkdirs(join(dir, kind));
    await calls.mkdir(at("folder"));
    const fd = await calls.open(at("file"), "create");
    await calls.write(fd, bytes, 0, 4);
    await calls.read(fd, bytes, 0, 4, 0);
    await calls.fdatasync(fd);
    await calls.fstat(fd);
    await calls.close(fd);
    expect(await calls.lstat(at("file"))).toMatchObject({ size: 4 });
    expect(await calls.lstat(at("nothing"))).toBeUndefined();
    expect(await calls.exists(at("file"))).toBe(true);
    expect(await calls.existsQuickly(at("file"))).toBe(true);
    expect(await calls.isDirectory(at("folder"))).toBe(true);
    await calls.link(at("file"), at("second"));
    await calls.rename(at("second"), at("third"));
    await calls.touch(at("third"));
    expect(await calls.readText(at("third"))).toBe("text");
    await calls.unlink(at("third"));
    await calls.rmdir(at("folder"));
    expect(await calls.readdir(join(dir, kind))).toEqual(["file"]);
    await calls.syncDirectory(join(dir, kind));
    fs.symlinkSync("target", at("link"));
    expect(await calls.readlink(at("link"))).toBe("target");
  }
}

describe("the file system", () => {
  it("P11 passes by every replaced function that names the one below, several deep", async () => {
    const called: string[] = [];
    for (const module of [fs, fs.promises])
      for (const name of names(module))
        for (const layer of ["inner", "outer"]) wrap(module, name, () => called.push(`${layer} ${name}`));
    const dir = fs.mkdtempSync(join(tmpdir(), "own-work-"));
    const symlinks = (name: string) => name.includes("symlink");
    called.length = 0;
    await callAll(dir);
    expect(called.filter((name) => !symlinks(name))).toEqual([]);
    fs.rmSync(dir, { recursive: true });
  });

  it("P11 calls a function that a program replaced, and looks it up at each call", () => {
    const called: string[] = [];
    const path = join(stage.dir, "nothing");
    nodeFileSystem.sync.existsQuickly(path);
    wrap(fs, "existsSync", () => called.push("existsSync"), false);
    nodeFileSystem.sync.existsQuickly(path);
    undo.pop()?.();
    nodeFileSystem.sync.existsQuickly(path);
    expect(called).toEqual(["existsSync"]);
  });

  it("P11 marks the calls that a replacement hides", async () => {
    const marks: boolean[] = [];
    for (const module of [fs, fs.promises])
      for (const name of names(module))
        if (name !== "symlinkSync") wrap(module, name, () => marks.push(isOwnWork()), false);
    await callAll(stage.dir);
    expect(marks.length).toBeGreaterThan(50);
    expect(marks.every((mark) => mark)).toBe(true);
    expect(isOwnWork()).toBe(false);
  });
});

describe("spans of a replacement that hides the function below", () => {
  it.each(["ours", "simple"])("P11 are not recorded: %s processor", async (kind) => {
    const exporter = new CrashSafeFileSpanExporter({ dir: stage.dir });
    const processor =
      kind === "ours" ? new CrashSafeSpanProcessor(exporter) : new SimpleSpanProcessor(exporter);
    const tracer = new BasicTracerProvider({ spanProcessors: [processor] }).getTracer("app");
    let own = 0;
    const open: Span[] = [];
    for (const name of names(fs))
      if (name !== "readFileSync" && name !== "readdirSync" && name !== "existsSync")
        wrap(
          fs,
          name,
          () => {
            own++;
            const span = tracer.startSpan(`fs ${name}`);
            // A call of the thread pool ends later.
            if (name.endsWith("Sync")) span.end();
            else open.push(span);
          },
          false,
        );
    tracer.startSpan("work", { attributes: { "session.id": "s" } }).end();
    await exporter.forceFlush();
    if (kind === "ours") for (const span of open) span.end();
    expect(own).toBeGreaterThan(0);
    await processor.shutdown();
    for (const one of undo.splice(0).reverse()) one();
    expect(stage.files).toEqual(["s.json"]);
    expect(stage.document("s").spans.map(({ name }) => name)).toEqual(["work", "s"]);
  });
});

describe("timers", () => {
  /** All that sinon replaces by default. */
  const all = [
    "setTimeout",
    "setInterval",
    "setImmediate",
    "clearTimeout",
    "clearInterval",
    "performance",
    "queueMicrotask",
  ];

  it("P11 are the machine's under fake timers", async () => {
    vi.useFakeTimers({ toFake: all as never });
    await new Promise<void>((resolve) => void systemClock.after(1, resolve));
    await new Promise<void>((resolve) => timers.queueMicrotask(resolve));
    const before = systemClock.monotonic();
    await new Promise<void>((resolve) => void systemClock.after(5, resolve));
    expect(systemClock.monotonic()).toBeGreaterThan(before);
  });

  it("P11 are the machine's where fake timers came before the package", async () => {
    vi.useFakeTimers({ toFake: all as never });
    vi.resetModules();
    const { systemClock: late, timers: lateTimers } = await import("../../src/platform/clock.js");
    await new Promise<void>((resolve) => void late.after(1, resolve));
    await new Promise<void>((resolve) => void lateTimers.setImmediate(resolve));
    await new Promise<void>((resolve) => lateTimers.queueMicrotask(resolve));
    expect(late.monotonic()).toBeCloseTo(systemClock.monotonic(), -3);
  });

  it("P11 are not those of an instrumentation", async () => {
    const called: string[] = [];
    for (const name of names(nodeTimers)) wrap(nodeTimers, name, () => called.push(name));
    vi.resetModules();
    const { systemClock: late } = await import("../../src/platform/clock.js");
    await new Promise<void>((resolve) => void late.after(1, resolve));
    expect(called).toEqual([]);
  });

  it("P12 need no unref: Electron's renderer has numbers", async () => {
    const { setTimeout: real } = nodeTimers;
    const byNumber = new Map<number, NodeJS.Timeout>();
    nodeTimers.setTimeout = ((run: () => void, millis: number) => {
      byNumber.set(byNumber.size + 1, real(run, millis));
      return byNumber.size;
    }) as never;
    undo.push(() => {
      nodeTimers.setTimeout = real;
    });
    vi.resetModules();
    const { systemClock: late } = await import("../../src/platform/clock.js");
    await new Promise<void>((resolve) => void late.after(1, resolve));
    expect(byNumber.size).toBe(1);
  });

  it("P11 call back untraced, and without the context in which they were set", async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const key = Symbol("request");
    const request = context.active().setValue(key, "a request");
    const seen = await context.with(request, () =>
      Promise.all([
        new Promise((resolve) => void untracedClock.after(0, () => resolve(context.active()))),
        new Promise((resolve) => {
          const timer = untracedClock.every(1, () => {
            timer.cancel();
            resolve(context.active());
          });
        }),
      ]),
    );
    expect(seen).toEqual([UNTRACED, UNTRACED]);
  });
});

describe("work of ours", () => {
  it("P11 is marked where no context manager is, with all that it awaits", async () => {
    const marks = await untraced(async () => {
      const first = isOwnWork();
      await new Promise(setImmediate);
      return [first, isOwnWork()];
    });
    expect(marks).toEqual([true, true]);
    expect(isOwnWork()).toBe(false);
  });

  it("P11 needs no mark with a context manager", async () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const seen = await untraced(async () => {
      await new Promise(setImmediate);
      return [isOwnWork(), context.active()];
    });
    expect(seen).toEqual([false, UNTRACED]);
  });
});
