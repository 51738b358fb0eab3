// Lives with a failing system call. Each life waits until the fault has passed, and ends normally.
import { Host, listen, live, plan, print, ready, recover, turn } from "./child.mjs";

/** The work during the fault. Returns the work after the fault, which returns whether it succeeded. */
const lives = {
  "publish, seal, resume": async () => {
    const host = new Host();
    const generation = host.start("alpha");
    host.work("alpha", 2);
    await host.flush();
    host.work("alpha", 1, { bytes: 1_500 });
    host.start("alpha", { parent: generation });
    // Open sessions end with it.
    await host.endSession("alpha");
    host.work("alpha", 2);
    await host.flush();
    host.work("alpha", 1);
    host.start("alpha");
    return async () => (await host.flush()) && (await host.shutdown());
  },
  "fence, resume": async () => {
    const host = new Host();
    host.work("alpha", 2);
    host.start("alpha");
    await host.flush();
    host.work("alpha", 1);
    await host.crash();
    host.renew();
    host.work("alpha", 2);
    await turn();
    host.start("alpha");
    await host.crash();
    return async () => (await host.shutdownFormer()) && (await host.shutdown());
  },
  compact: async () => {
    const host = new Host({ maxSpans: 10 });
    for (let i = 0; i < 3; i++) {
      host.work("alpha", 12);
      await host.flush();
    }
    return async () => (await host.flush()) && (await host.shutdown());
  },
  durable: async () => {
    const host = new Host({ durability: "each" });
    host.work("alpha", 1);
    const generation = host.start("alpha");
    await host.flush();
    host.end(generation);
    return async () => (await host.flush()) && (await host.shutdown());
  },
  recover: async () => {
    await recover().catch(() => {});
    return async () => {
      const { failures } = await recover();
      for (const { error } of failures)
        print("broken", `recovery failed although the fault had passed: ${error}`);
      return failures.length === 0;
    };
  },
};

await ready({ hasOneThread: true });
await live(async () => {
  const finish = await lives[plan.life]();
  print("stands");
  listen();
  if (!(await finish())) print("broken", "an end was rejected although the fault had passed");
});
