import { diag } from "@opentelemetry/api";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type CrashFenceOptions,
  type InstalledCrashFence,
  installCrashFence,
} from "../../src/processor/crash-fence.js";
import { listenToDiag } from "../support/span-processor-stage.js";

const events = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "uncaughtExceptionMonitor", "exit"];
const count = () => Object.fromEntries(events.map((event) => [event, process.listenerCount(event)]));

let before: Record<string, number>;
let installed: InstalledCrashFence[];
/** The listeners of the fence, by event. */
const hooks = () => {
  const now = count();
  return Object.fromEntries(
    events.map((event) => [event, (now[event] ?? 0) - (before[event] ?? 0)]).filter(([, n]) => n !== 0),
  );
};
const meetUncaughtException = () =>
  (process as NodeJS.EventEmitter).emit("uncaughtExceptionMonitor", new Error("boom"), "uncaughtException");
const install = (target: { crash(): void }, options?: CrashFenceOptions) => {
  const fence = installCrashFence(target, options);
  installed.push(fence);
  return fence;
};

beforeEach(() => {
  before = count();
  installed = [];
});
afterEach(async () => {
  for (const fence of installed) fence.uninstall();
  await expect.poll(hooks).toEqual({});
});

describe("P3 the listeners of the crash fence on process", () => {
  it("P3 are added with the first target and removed with the last", async () => {
    const all = { SIGINT: 1, SIGTERM: 1, SIGHUP: 1, uncaughtExceptionMonitor: 1, exit: 1 };
    const first = install({ crash() {} });
    expect(hooks()).toEqual(all);
    const second = install({ crash() {} });
    expect(hooks()).toEqual(all);
    first.uninstall();
    expect(hooks()).toEqual(all);
    second.uninstall();
    await expect.poll(hooks).toEqual({});
  });

  it("P3 stay when another target is added before they are removed", async () => {
    install({ crash() {} }).uninstall();
    install({ crash() {} }, { exit: false });
    for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(hooks()).toEqual({ SIGINT: 1, SIGTERM: 1, SIGHUP: 1, uncaughtExceptionMonitor: 1 });
  });

  it("P3 are those that at least one target wants", () => {
    install({ crash() {} }, { signals: ["SIGQUIT"], uncaughtException: false, exit: false });
    expect(hooks()).toEqual({ SIGQUIT: 1 });
    const second = install({ crash() {} }, { signals: false });
    expect(hooks()).toEqual({ SIGQUIT: 1, uncaughtExceptionMonitor: 1, exit: 1 });
    second.uninstall();
    expect(hooks()).toEqual({ SIGQUIT: 1 });
  });

  it("P3 stay until the last installation of a target is removed, each installation once", async () => {
    const target = { crash: vi.fn() };
    const first = install(target);
    const second = install(target);
    first.uninstall();
    first.uninstall();
    expect(hooks()).toMatchObject({ SIGTERM: 1 });
    second.uninstall();
    await expect.poll(hooks).toEqual({});
    expect(target.crash).not.toHaveBeenCalled();
  });

  it("P3 are shared with another copy of the package", async () => {
    vi.resetModules();
    const copy = await import("../../src/processor/crash-fence.js");
    expect(copy.installCrashFence).not.toBe(installCrashFence);
    install({ crash() {} });
    installed.push(copy.installCrashFence({ crash() {} }));
    expect(hooks()).toMatchObject({ SIGTERM: 1, exit: 1 });
  });

  it("P6 leave out a signal that the platform refuses", () => {
    const refuse = vi.spyOn(process, "prependListener").mockImplementationOnce(() => {
      throw new Error("uv_signal_start EINVAL");
    });
    install({ crash() {} });
    refuse.mockRestore();
    expect(hooks()).toEqual({ SIGTERM: 1, SIGHUP: 1, uncaughtExceptionMonitor: 1, exit: 1 });
  });
});

it("P3 fence a target with several installations once per event", () => {
  const target = { crash: vi.fn() };
  install(target, { signals: false, exit: false });
  install(target, { signals: false, exit: false });
  meetUncaughtException();
  expect(target.crash.mock.calls).toEqual([["Uncaught exception: boom"]]);
});

it("P3 fence the remaining targets when `stopped` of one target throws", () => {
  const target = { crash: vi.fn() };
  const hostile = {
    crash() {},
    get stopped(): boolean {
      throw new Error("no");
    },
  };
  const reported = listenToDiag();
  install(hostile, { signals: false, exit: false });
  install(target, { signals: false, exit: false });
  meetUncaughtException();
  diag.disable();
  expect(target.crash).toHaveBeenCalledOnce();
  expect(reported).toEqual([
    expect.stringMatching(/^installCrashFence: a target of the crash fence threw on/),
  ]);
});

describe("P6 invalid options of the crash fence", () => {
  it.each<[unknown, unknown, string]>([
    [{}, {}, "crash(reason)"],
    [undefined, {}, "crash(reason)"],
    [{ crash() {} }, { signals: ["SIGKILL"] }, 'signals is ["SIGKILL"]'],
    [{ crash() {} }, { signals: ["sigterm"] }, 'signals is ["sigterm"]'],
    [{ crash() {} }, { signals: true }, "signals is true"],
    [{ crash() {} }, { exit: 1 }, "exit is 1"],
    [{ crash() {} }, { uncaughtException: "yes" }, 'uncaughtException is "yes"'],
  ])("P6 %j with %j are refused", (target, options, message) => {
    expect(() => installCrashFence(target as never, options as never)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(message) }),
    );
  });
});
