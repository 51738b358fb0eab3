/** The lab's result as a table for people. */
import { colors, groupedNumber, plural, printTable, right, shortDuration } from "../support/text-output.mjs";

const styles = { passed: colors.green, FAILED: colors.red, skipped: colors.yellow };

export function print(rows, { size, seed }) {
  printTable(
    ["scenario", right("trials"), right("time"), "result", "promise"],
    rows.map(({ name, title, trials, seconds, result, promise, reason }) => {
      const isOurs = !title.startsWith("…");
      const wasRun = result !== "skipped";
      return [
        isOurs ? `${colors.bold(name)}  ${title}` : colors.dim(`  ${title}`),
        wasRun ? groupedNumber(trials) : "",
        wasRun ? shortDuration(seconds * 1_000) : "",
        styles[result](result) + (reason ? `: ${reason}` : ""),
        isOurs ? promise : "",
      ];
    }),
  );
  printNotes(rows);
  printFailures(rows);
  const count = (word) => rows.filter(({ result }) => result === word).length;
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
  const [trials, time] = [plural(sum("trials"), "trial"), shortDuration(sum("seconds") * 1_000)];
  console.log(
    `\n${count("passed")} passed, ${count("FAILED")} failed, ${count("skipped")} skipped; ` +
      `${trials} in ${time} (${size}, seed ${seed}, Node ${process.version})`,
  );
}

function printNotes(rows) {
  for (const { name, title, result, notes = [] } of rows) {
    const lines = notes.filter(Boolean);
    if (result === "FAILED" || lines.length === 0) continue;
    console.log(colors.dim(`\n${name} ${title}`));
    for (const note of lines) console.log(colors.dim(`  ${short(note)}`));
  }
}

const mostFailures = 20;

function printFailures(rows) {
  for (const { name, title, result, failures = [], notes = [] } of rows) {
    if (result !== "FAILED") continue;
    console.log(colors.red(`\nFAILED ${name}: ${title}`));
    for (const failure of failures.slice(0, mostFailures)) console.log(`  ${failure}`);
    if (failures.length > mostFailures) console.log(`  … and ${failures.length - mostFailures} more`);
    for (const note of notes) console.log(colors.dim(`  ${short(note)}`));
  }
}

const short = (text) => (text.length > 160 ? `${text.slice(0, 159)}…` : text);
