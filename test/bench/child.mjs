/** One run of one contender in one workload, in a process of its own. The job is the argument; the sample goes to stdout. */
import { writeSync } from "node:fs";
import { contenderNamed } from "./contenders.mjs";
import { workloadNamed } from "./workloads.mjs";

const job = JSON.parse(process.argv[2]);
const sample =
  job.task === "count"
    ? { survivors: await contenderNamed(job.contender).survivors(job) }
    : await workloadNamed(job.workload).run(job);
writeSync(1, JSON.stringify(sample));
// Work that a contender left running is of no interest.
process.exit(0);
