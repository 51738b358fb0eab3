/**
 * The lab breaks lines of the build by their text. A changed line fails here at once, and not after minutes in the
 * lab.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface Scenario {
  readonly name: string;
  readonly brokenWriters?: readonly {
    readonly name: string;
    readonly patch?: readonly {
      readonly file: string;
      readonly from: string | RegExp;
      readonly to: string;
    }[];
  }[];
}

const files = readdirSync("test/lab/scenarios");
const scenarios: Scenario[] = [];
for (const file of files)
  scenarios.push(...[(await import(`../lab/scenarios/${file.replace(/\.mjs$/, "")}.mjs`)).default].flat());

const patches = scenarios.flatMap(({ name, brokenWriters = [] }) =>
  brokenWriters.flatMap((writer) =>
    (writer.patch ?? []).map((one) => ({ ...one, name, writer: writer.name })),
  ),
);

test("there are broken writers", () => expect(patches.length).toBeGreaterThan(30));

test.each(patches)("P1 the lab can break $file: $name catches $writer", ({ file, from, to }) => {
  const text = readFileSync(`build/${file}`, "utf8");
  expect(text.replace(from, () => to)).not.toBe(text);
});
