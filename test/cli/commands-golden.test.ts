/**
 * What people see: each command at 80 and 120 columns, on sessions that are finished, active, dead, damaged. A change is
 * looked at and taken with `npx vitest run test/cli -u`.
 */
import { expect, test } from "vitest";
import { widthOf } from "../../src/text/display-text.js";
import { command, commandDirectory, golden } from "../support/command-stage.js";

const lines: readonly (readonly [name: string, args: readonly string[]])[] = [
  ["list", ["list"]],
  ["show-finished", ["show", "ses_finish"]],
  ["show-active", ["show", "ses_active"]],
  ["show-dead", ["show", "ses_killed"]],
  ["show-damaged", ["show", "ses_broken"]],
  ["show-capped", ["show", "ses_capped"]],
  ["show-old-tracer", ["show", "old_tracer"]],
  ["show-errors", ["show", "ses_crashd", "--errors"]],
  ["show-span", ["show", "ses_finish", "--span", "000000000000000c"]],
  ["postmortem-dead", ["postmortem", "ses_killed"]],
  ["postmortem-crashed", ["postmortem", "ses_crashd"]],
  ["postmortem-active", ["postmortem", "ses_active"]],
  ["postmortem-newer", ["postmortem", "ses_newer"]],
  ["postmortem-damaged", ["postmortem", "ses_broken"]],
  ["postmortem-markdown", ["postmortem", "ses_crashd", "--md"]],
  ["tail", ["tail", "ses_crashd", "--exit"]],
  ["stats", ["stats"]],
  ["stats-one", ["stats", "ses_finish"]],
  ["export-markdown", ["export", "ses_crashd", "--format", "md"]],
  ["verify", ["verify"]],
  ["recover", ["recover", "--dry-run"]],
  ["replay", ["replay", "--otlp", "http://localhost:4318", "--dry-run"]],
  ["prune", ["prune", "--keep", "3", "--dry-run"]],
  ["help", ["--help"]],
  ["help-list", ["list", "--help"]],
  ["help-verify", ["verify", "--help"]],
];

test.each(lines.flatMap(([name, args]) => [80, 120].map((columns) => ({ name, args, columns }))))(
  "$name at $columns columns",
  async ({ name, args, columns }) => {
    const dir = commandDirectory();
    const outcome = await command(dir, args, { columns });
    await expect(golden(dir, outcome)).toMatchFileSnapshot(`../fixtures/cli/${name}-${columns}.txt`);
    // Paths and texts that are shown in full may be longer; the lines of tables and trees are not.
    if (name.startsWith("list") || name.startsWith("show"))
      expect(
        outcome.out.split("\n").filter((line) => widthOf(line) > columns && !line.includes(dir)),
      ).toEqual([]);
  },
);

test("a terminal gets colours, and loses nothing without them", async () => {
  const dir = commandDirectory();
  for (const args of [["list"], ["show", "ses_crashd"], ["postmortem", "ses_crashd"], ["verify"]]) {
    const colored = await command(dir, args, { columns: 80 });
    expect(colored.out).toContain("\x1b[");
    for (const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }]) {
      const plain = await command(dir, args, { columns: 80, env });
      expect(plain.out + plain.err).not.toContain("\x1b[");
      expect(golden(dir, plain)).toBe(golden(dir, colored));
    }
    const flag = await command(dir, [...args, "--no-color"], { columns: 80 });
    expect(flag.out).not.toContain("\x1b[");
    const piped = await command(dir, args);
    expect(piped.out).not.toContain("\x1b[");
    const forced = await command(dir, args, { env: { FORCE_COLOR: "1" } });
    expect(forced.out).toContain("\x1b[");
  }
});
