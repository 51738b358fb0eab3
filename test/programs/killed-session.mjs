// Logs one session through the altimate API, with a generation that runs, and is killed.
import { FileExporter, Trace } from "../../build/altimate.mjs";

const [dir, sessionId] = process.argv.slice(2);
const trace = Trace.withExporters([new FileExporter(dir)]);
trace.startTrace(sessionId, { title: sessionId, prompt: "work" });
trace.logUserMessage("work");
await trace.flush();
trace.logStepStart({ id: "1" });
process.kill(process.pid, "SIGKILL");
