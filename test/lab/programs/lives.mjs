// Lives of writers, each short enough to be killed at every one of its system calls.
import { Host, live, plan, print, ready, recover, turn } from "./child.mjs";

const lives = {
  "start, record, publish": async () => {
    const host = new Host();
    const generation = host.start("alpha");
    host.work("alpha", 2);
    await host.flush();
    const tool = host.start("alpha", { parent: generation, bytes: 3_000 });
    host.work("alpha", 1);
    await turn();
    host.end(tool);
    await host.flush();
    host.work("alpha", 1);
  },
  "seal, resume": async () => {
    const host = new Host();
    host.work("alpha", 2);
    host.start("alpha");
    await host.endSession("alpha", "a reason");
    host.work("alpha", 2);
    await host.flush();
    host.work("alpha", 1);
    await host.shutdown();
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
    await host.crash();
  },
  compact: async () => {
    const host = new Host({ maxSpans: 10 });
    for (let i = 0; i < 3; i++) {
      host.work("alpha", 12);
      await host.flush();
    }
    await host.shutdown();
  },
  // Synced before each record is acknowledged, names too.
  durable: async () => {
    const host = new Host({ durability: "each" });
    host.work("alpha", 1);
    const generation = host.start("alpha");
    await host.flush();
    host.end(generation);
    host.start("alpha");
    await host.endSession("alpha");
  },
  // Beyond the bytes that wait for a background sync, and beyond what a journal keeps of ended spans.
  large: async () => {
    const host = new Host();
    const generation = host.start("alpha");
    for (let i = 0; i < 4; i++) {
      host.work("alpha", 1, { bytes: 400_000 });
      await turn();
    }
    host.work("alpha", 1);
    await host.flush();
    host.end(generation);
  },
  recover: async () => {
    await recover();
    print("recovered");
  },
  "resume what is dead": async () => {
    const host = new Host();
    await host.exporter.resumeSession?.("alpha");
    host.work("alpha", 2);
    await host.flush();
    await host.shutdown();
  },
  prune: async () => {
    const host = new Host({ maxFiles: 2 });
    host.work("alpha", 1);
    await host.flush();
    // Retention runs at the same time, and ends before this life does.
    await host.shutdown();
    host.renew();
    host.work("alpha", 1);
    await host.shutdown();
  },
  "several to prune": async () => {
    const host = new Host();
    for (const session of ["a", "b", "c", "d"]) {
      host.work(session, 1);
      await host.endSession(session);
    }
  },
};

await ready({ hasOneThread: true });
await live(lives[plan.life]);
