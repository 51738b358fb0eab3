/** Every command with every option that reads, on sessions in every state. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { widthOf } from "../../src/text/display-text.js";
import { commandRows, falseWords, isJson, sessionCodes } from "../support/command-rows.js";
import { command } from "../support/command-stage.js";
import { everySession, withoutEnd } from "../support/every-session.js";

/** All files with their bytes, but the journals of living writers, which have a heartbeat. */
const contentsOf = (dir: string) =>
  readdirSync(dir).map((name) => [
    name,
    createHash("sha256")
      .update(readFileSync(join(dir, name)))
      .digest("hex"),
  ]);

test("P14 every command answers for every session, with facts only, and none that reads writes", async () => {
  const dir = await everySession();
  const before = contentsOf(dir);
  const faults: string[] = [];
  for (const { args, code, output } of commandRows(dir, withoutEnd)) {
    for (const columns of output === "people" ? [80, 120] : [undefined]) {
      const signal = AbortSignal.timeout(20_000);
      const outcome = await command(dir, args, { ...(columns !== undefined && { columns }), signal });
      const fault = (what: string) => faults.push(`${args.join(" ")}: ${what}`);
      if (signal.aborted) fault("waits for ever");
      if (outcome.code !== code) fault(`exit code ${outcome.code}, not ${code}: ${outcome.err}`);
      if (code === 0 && outcome.out === "" && outcome.err === "") fault("no word");
      if (code === 1 && (outcome.out !== "" || outcome.err === "")) fault("no reason");
      // A colour before a word hides where the word begins.
      const out = stripVTControlCharacters(outcome.out + outcome.err);
      const shown = output === "text" && args[0] === "share" ? outcome.err : out;
      if (falseWords.test(shown)) fault(`false words: ${falseWords.exec(shown)?.[0]}`);
      if (output === "json" && !isJson(outcome.out)) fault(`no JSON: ${outcome.out.slice(0, 200)}`);
      const tooWide = outcome.out.split("\n").find((line) => columns && widthOf(line) > columns);
      if (tooWide !== undefined) fault(`wider than ${columns}: ${tooWide}`);
    }
  }
  expect(faults).toEqual([]);
  expect(contentsOf(dir)).toEqual(before);
  const { sessions } = JSON.parse((await command(dir, ["list", "--limit", "0", "--json"])).out);
  expect(sessions.map(({ name }: { name: string }) => name).sort()).toEqual(Object.keys(sessionCodes).sort());
});
