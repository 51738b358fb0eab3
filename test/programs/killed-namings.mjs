// Runs each program of late-namings.mjs under each processor to its second stop, and is killed there. Argument: a directory,
// which gets a directory per program and processor.
import { join } from "node:path";
import { BasicTracerProvider, BatchSpanProcessor, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { CrashSafeFileSpanExporter, CrashSafeSpanProcessor, setSessionId } from "../../build/index.mjs";
import { namings } from "./late-namings.mjs";

const processors = { ours: CrashSafeSpanProcessor, batch: BatchSpanProcessor, simple: SimpleSpanProcessor };

for (const [naming, { run, behind }] of Object.entries(namings(setSessionId))) {
  for (const [name, Processor] of Object.entries(processors)) {
    const exporter = new CrashSafeFileSpanExporter({ dir: join(process.argv[2], `${naming}, ${name}`) });
    const spanProcessors = [new Processor(exporter), ...(behind ? [behind] : [])];
    const provider = new BasicTracerProvider({ spanProcessors });
    let stops = 0;
    await new Promise((reached) => {
      const stop = async () => {
        if (++stops < 2) return;
        reached();
        await new Promise(() => {});
      };
      void run(provider.getTracer("test"), stop);
    });
    // A batch waits in memory, and a name of an open span is read by a flush: before that neither is known.
    await provider.forceFlush();
  }
}
process.kill(process.pid, "SIGKILL");
