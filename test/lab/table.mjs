/** The lab's result as a table for people. */

import { styleText } from "node:util";
import Table from "cli-table3";

const hasColors = process.stdout.isTTY && process.stdout.hasColors() && !process.env.NO_COLOR;
const paint = (style, text) => (hasColors ? styleText(style, text) : text);

const styles = { passed: "green", FAILED: "red", skipped: "yellow" };

export function print(rows, { size, seed }) {
  const table = new Table({
    head: ["scenario", "trials", "time", "result", "promise"].map((text) => paint("bold", text)),
    colAligns: ["left", "right", "right", "left", "left"],
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
    style: { head: [], border: hasColors ? ["dim"] : [] },
  });
  for (const { name, title, trials, seconds, result, promise, reason } of rows) {
    const isOurs = !title.startsWith("…");
    table.push([
      isOurs ? `${paint("bold", name)}  ${title}` : paint("dim", `  ${title}`),
      result === "skipped" ? "" : trials.toLocaleString("en"),
      result === "skipped" ? "" : `${seconds.toFixed(1)} s`,
      paint(styles[result], result) + (reason ? `: ${reason}` : ""),
      isOurs ? promise : "",
    ]);
  }
  console.log(table.toString());
  tellNotes(rows);
  tellFailures(rows);
  const count = (word) => rows.filter(({ result }) => result === word).length;
  const trials = rows.reduce((sum, row) => sum + row.trials, 0).toLocaleString("en");
  const seconds = rows.reduce((sum, row) => sum + row.seconds, 0).toFixed(0);
  console.log(
    `\n${count("passed")} passed, ${count("FAILED")} failed, ${count("skipped")} skipped; ` +
      `${trials} trials in ${seconds} s (${size}, seed ${seed}, Node ${process.version})`,
  );
}

function tellNotes(rows) {
  for (const { name, title, result, notes = [] } of rows) {
    const lines = notes.filter(Boolean);
    if (result === "FAILED" || lines.length === 0) continue;
    console.log(paint("dim", `\n${name} ${title}`));
    for (const note of lines) console.log(paint("dim", `  ${short(note)}`));
  }
}

const mostFailures = 20;

function tellFailures(rows) {
  for (const { name, title, result, failures = [], notes = [] } of rows) {
    if (result !== "FAILED") continue;
    console.log(paint("red", `\nFAILED ${name}: ${title}`));
    for (const failure of failures.slice(0, mostFailures)) console.log(`  ${failure}`);
    if (failures.length > mostFailures) console.log(`  … and ${failures.length - mostFailures} more`);
    for (const note of notes) console.log(paint("dim", `  ${short(note)}`));
  }
}

const short = (text) => (text.length > 160 ? `${text.slice(0, 159)}…` : text);
