/** The conventions of a command line: references, mistakes, exit codes, and that reading writes nothing. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { commands } from "../../src/cli/commands.js";
import { nameCandidates } from "../../src/format/file-names.js";
import { command, commandDirectory, emptyDirectory } from "../support/command-stage.js";
import { documentOf, rootSpan } from "../support/trace-documents.js";

describe("a session", () => {
  const idOf = async (dir: string, reference: string, cwd = dir) => {
    const { out, err } = await command(dir, ["show", reference, "--json"], { cwd });
    return out === "" ? err : JSON.parse(out).id;
  };

  test("is an id, the beginning of one, a path, a side file, or latest", async () => {
    const dir = commandDirectory();
    expect(await idOf(dir, "ses_finish")).toBe("ses_finish");
    expect(await idOf(dir, "ses_fi")).toBe("ses_finish");
    expect(await idOf(dir, join(dir, "ses_finish.json"))).toBe("ses_finish");
    expect(await idOf(dir, "./ses_finish.json")).toBe("ses_finish");
    expect(await idOf("/nowhere", "ses_finish.json", dir)).toBe("ses_finish");
    expect(await idOf(dir, join(dir, "ses_killed.json"))).toBe("ses_killed");
    expect(await idOf(dir, join(dir, "ses_killed.json.1-1-0-00000000-00000000.open"))).toBe("ses_killed");
    const newest = documentOf("ses/of:1", { endedAt: new Date().toISOString() });
    writeFileSync(join(dir, "ses_of_1.json"), JSON.stringify(newest));
    expect(await idOf(dir, "latest")).toBe("ses/of:1");
    expect(await idOf(dir, "ses/of:1")).toBe("ses/of:1");
    expect(await idOf(dir, "ses/of")).toBe("ses/of:1");
  });

  test("latest is the first of the list: not the one whose files are newest, and no file of another program", async () => {
    const dir = emptyDirectory();
    expect(await idOf(dir, "latest")).toBe(`error: there are no traces in ${dir}\n`);
    writeFileSync(join(dir, "package.json"), "{}");
    expect(await idOf(dir, "latest")).toBe(`error: there are no traces in ${dir}\n`);
    const at = (hour: number, id: string) => {
      const time = new Date(Date.UTC(2026, 0, 2, hour)).toISOString();
      writeFileSync(
        join(dir, `${id}.json`),
        JSON.stringify(documentOf(id, { startedAt: time, endedAt: time })),
      );
    };
    // A recovery, or a copy, writes the document of an old session last.
    at(9, "ses_new");
    at(3, "ses_old");
    for (let n = 0; n < 1_000; n++) writeFileSync(join(dir, `other${n}.json`), `{"n":${n}}`);
    const { sessions } = JSON.parse((await command(dir, ["list", "--json"])).out);
    expect(sessions.map(({ id }: { id: string }) => id)).toEqual(["ses_new", "ses_old"]);
    expect(await idOf(dir, "latest")).toBe("ses_new");
    const { out, err } = await command(dir, ["tail", "--exit"]);
    expect(out + err).toContain("ses_new");
  });

  test("is an id before it is a name: several ids may have one name", async () => {
    const dir = emptyDirectory();
    const write = (name: string, id: string) =>
      writeFileSync(join(dir, `${name}.json`), JSON.stringify({ ...documentOf(name), id }));
    write("team_1", "team/1");
    expect(await idOf(dir, "team/1")).toBe("team/1");
    // The name of a document.
    expect(await idOf(dir, "team_1")).toBe("team/1");
    expect(await idOf(dir, "team.1")).toContain("there is no session team.1");
    expect(await idOf(dir, "team/")).toBe("team/1");
    expect(await idOf(dir, "team.")).toContain("there is no session team.");
    const [, hashed = ""] = nameCandidates("team_1");
    write(hashed, "team_1");
    expect(await idOf(dir, "team_1")).toBe("team_1");
    expect(await idOf(dir, "team/1")).toBe("team/1");
  });

  test("that is several or none is an error that helps", async () => {
    const dir = commandDirectory();
    expect(await idOf(dir, "ses_f")).toBe("error: 2 sessions begin with ses_f: ses_failed, ses_finish\n");
    expect(await idOf(dir, "ses_finihs")).toContain("did you mean ses_finish?");
    expect(await idOf(dir, "elsewhere")).toContain("`crash-safe-file list` shows all");
    expect(await idOf(dir, "/no/such.json")).toBe("error: there is no file /no/such.json\n");
    expect(await idOf(join(dir, "none"), "latest")).toContain("it does not exist");
    expect(await idOf(dir, "ses_empty")).toContain("`crash-safe-file verify` says more");
  });
});

describe("exit codes", () => {
  test.each<[readonly string[], number, string]>([
    [["list"], 0, ""],
    [["show", "none"], 1, "there is no session none"],
    [["verify", "ses_finish"], 0, ""],
    [["verify", "ses_killed"], 1, ""],
    [["verify", "ses_broken"], 2, ""],
    [["verify"], 2, ""],
    [[], 2, "Examples"],
    [["lst"], 2, "did you mean list?"],
    [["list", "--stauts", "x"], 2, "did you mean --status?"],
    [["list", "--status", "dead"], 2, '"dead" is none of running, idle'],
    [["list", "--limit", "few"], 2, "--limit:"],
    [["list", "--since", "now"], 2, "neither a duration such as 2h or 7d nor a date"],
    [["list", "--limit"], 2, "--limit"],
    [["list", "extra"], 2, "list takes no argument"],
    [["show", "a", "b"], 2, "show takes one argument"],
    [["show", "ses_finish", "--turn", "9"], 1, "there is no turn 9"],
    [["show", "ses_finish", "--span", "0"], 1, "give more of the id"],
    [["export", "ses_finish"], 2, "export needs --format"],
    [["export", "--format", "md"], 2, "export needs a session"],
    [["export", "ses_empty", "--format", "md"], 1, "verify"],
    [["replay"], 2, "replay needs --otlp"],
    [["replay", "--otlp", "localhost:4318"], 2, "does not begin with http"],
    [["prune"], 2, "prune needs a limit"],
    [["prune", "--keep", "0"], 2, "--keep:"],
    [["prune", "--keep", "-1"], 2, '--keep: "-1" is not a whole number of at least 1'],
    [["prune", "--keep"], 2, "--keep needs a value: --keep <number>"],
    [["prune", "--keep", "--dry-run"], 2, "--keep needs a value: --keep <number>"],
    [["list", "-n"], 2, "--limit needs a value: --limit <number>"],
    [["prune", "--dry-run=yes"], 2, "'--dry-run' does not take an argument"],
    [["prune", "--older-than", "0s"], 2, "would remove everything"],
    [["stats", "ses_empty"], 1, "verify"],
    [["__proto__"], 2, "there is no command __proto__"],
  ])("%j is %i", async (args, code, message) => {
    const outcome = await command(commandDirectory(), args);
    expect({ code: outcome.code, hasMessage: outcome.err.includes(message) }).toEqual({
      code,
      hasMessage: true,
    });
    if (code > 0 && args[0] !== "verify") expect(outcome.out).toBe("");
    expect(outcome.err).not.toContain("report this as a bug");
  });
});

describe("help", () => {
  test.each(Object.keys(commands))("of %s begins with examples, which are right", async (name) => {
    const { code, out } = await command("/nowhere", [name, "--help"]);
    expect(code).toBe(0);
    expect(out.split("\n")[0]).toBe("Examples");
    expect((await command("/nowhere", ["help", name])).out).toBe(out);
    const page = readFileSync("docs/cli.md", "utf8");
    expect(page).toContain(`| \`${name}`);
    const { options, examples } = await (
      commands[name] as { load(): Promise<{ options: object; examples: readonly (readonly string[])[] }> }
    ).load();
    for (const option of Object.keys(options)) expect(page).toContain(`--${option}`);
    for (const [example = ""] of examples)
      for (const [, option = ""] of example.split(" | ")[0]?.matchAll(/ --([a-z-]+)/g) ?? [])
        expect(out, example).toContain(`--${option}`);
  });

  test("of the program lists every command; --version is that of the package, or unreleased here", async () => {
    const { out } = await command("/nowhere", ["--help"]);
    for (const name of Object.keys(commands)) expect(out).toContain(`\n  ${name} `);
    expect((await command("/nowhere", ["--version"])).out).toBe("unreleased\n");
  });
});

test("P1 commands that read change no file and no time of one", async () => {
  const dir = commandDirectory();
  const before = snapshot(dir);
  for (const args of [
    ["list"],
    ["show", "ses_killed"],
    ["tail", "ses_killed", "--exit"],
    ["postmortem", "ses_killed"],
    ["stats"],
    ["verify"],
    ["export", "ses_killed", "--format", "otlp"],
    ["recover", "--dry-run"],
    ["replay", "--otlp", "http://localhost:1", "--dry-run"],
    ["prune", "--keep", "1", "--dry-run"],
  ])
    await command(dir, args);
  expect(snapshot(dir)).toEqual(before);
  const missing = join(mkdtempSync(join(tmpdir(), "command-")), "missing");
  await command(missing, ["list"]);
  await command(missing, ["recover"]);
  expect(existsSync(missing)).toBe(false);
});

const snapshot = (dir: string) =>
  readdirSync(dir).map((name) => {
    const { size, mtimeMs, ino } = statSync(join(dir, name));
    return [name, size, mtimeMs, ino, readFileSync(join(dir, name), "base64")];
  });

test("P9 no text of a trace reaches the terminal with its control characters", async () => {
  const dir = emptyDirectory();
  const evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eabc\r\n\x00";
  const spans = [
    rootSpan({ name: evil }),
    rootSpan({ spanId: "u", kind: "user-message", parentSpanId: "root", input: evil }),
    rootSpan({
      spanId: "t",
      kind: "tool",
      name: evil,
      parentSpanId: "root",
      status: "error",
      statusMessage: evil,
      input: { command: evil },
      output: evil,
    }),
    rootSpan({
      spanId: "g",
      kind: "generation",
      parentSpanId: "root",
      model: { modelId: evil },
      output: evil,
      interrupted: true,
      finishReason: evil,
    }),
  ];
  const document = documentOf("ses_1", { spans, metadata: { title: evil, agent: evil, model: evil } });
  Object.assign(document.summary, {
    status: "crashed",
    error: evil,
    detector: evil,
    loops: [{ tool: evil, count: 3, description: evil }],
  });
  writeFileSync(join(dir, "ses_1.json"), JSON.stringify(document));
  for (const args of [
    ["list"],
    ["show", "latest"],
    ["show", "latest", "--span", "t"],
    ["tail", "latest", "--exit"],
    ["postmortem", "latest"],
    ["postmortem", "latest", "--md"],
    ["stats"],
    ["stats", "latest"],
    ["export", "latest", "--format", "md"],
    ["show", evil],
  ]) {
    const { out, err } = await command(dir, args, { columns: 100, env: { NO_COLOR: "1" } });
    const codes = [...out, ...err].map((character) => character.codePointAt(0) ?? 0);
    const control = codes.filter(
      (code) => (code < 0x20 && code !== 0x0a) || (code >= 0x7f && code < 0xa0) || code === 0x202e,
    );
    expect({ args, control }).toEqual({ args, control: [] });
  }
});
