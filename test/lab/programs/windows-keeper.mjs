// On Windows: recovers directories, or reads documents in a loop, as a viewer does that holds them open.
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createRequire } from "node:module";
import { problemOf } from "../reader.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const words = openSync(plan.words, "a");
const print = (...given) => void writeSync(words, `${JSON.stringify(given)}\n`);

if (plan.looks) await look();
else await recover();
process.exit(0);

async function recover() {
  const { recoverTraces } = createRequire(`${plan.build}\\index.js`)(`${plan.build}\\index.js`);
  for (const dir of plan.dirs) {
    const { failures, running } = await recoverTraces(dir);
    const second = await recoverTraces(dir);
    const texts = failures.map(({ path, error }) => `${path}: ${error}`);
    print("recovered", dir, { failures: texts, running, again: second.sessions.length });
  }
}

/** Opens each document, reads it, and holds it open for a moment. */
async function look() {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  let [looks, holds] = [0, 0];
  while (looks < plan.looks) {
    const names = existsSync(plan.dir) ? readdirSync(plan.dir).filter((name) => name.endsWith(".json")) : [];
    for (const name of names) {
      let fd;
      try {
        fd = openSync(`${plan.dir}\\${name}`, "r");
      } catch (error) {
        // Between two documents: replaced in the moment of the look.
        print("problem", `${name} cannot be opened: ${error.message}`);
        continue;
      }
      const problem = problemOf(readFileSync(fd, "utf8"));
      looks++;
      if (problem) print("problem", `${name}, at look ${looks}, ${problem}`);
      if (looks % 3 === 0) Atomics.wait(cell, 0, 0, (holds++ * 7) % 20);
      closeSync(fd);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  writeFileSync(`${plan.dir}\\enough`, "");
  print("looked", looks, holds);
}
