// A life whose system calls fail somewhere in it. Then it waits until the fault has passed, and ends in good order.
import { Host, listen, ready, say } from "./child.mjs";

await ready();
const host = new Host();
const generation = host.start("alpha");
host.work("alpha", 2);
await host.flush();
host.work("alpha", 1, { bytes: 1_500 });
const tool = host.start("alpha", { parent: generation });
await host.endSession("alpha");
// Both ended with their session.
void [generation, tool];
host.work("alpha", 2);
await host.flush();
host.work("alpha", 1);
host.start("alpha");

say("stands");
listen();
if (!(await host.flush())) say("broken", "a flush was rejected although the fault had passed");
if (!(await host.shutdown())) say("broken", "shutdown was rejected although the fault had passed");
say("complete");
process.exit(0);
