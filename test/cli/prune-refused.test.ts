/** `prune` beside files that the file system refuses: each is named, with the reason. */
import { readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command, emptyDirectory } from "../support/command-stage.js";
import { refuse, refuseReads } from "../support/refused-calls.js";
import { documentOf } from "../support/trace-documents.js";

/** Documents ses_0 … ses_4, the oldest first, with a file that a recovery kept of ses_0. */
function fiveDocuments(): string {
  const dir = emptyDirectory();
  const files = [
    ...Array.from(
      { length: 5 },
      (_, n) => [`ses_${n}.json`, JSON.stringify(documentOf(`ses_${n}`))] as const,
    ),
    ["ses_0.json.damaged.1-1-0-00000000-00000000", "x"] as const,
  ];
  for (const [n, [name, text]] of files.entries()) {
    writeFileSync(join(dir, name), text);
    utimesSync(join(dir, name), 1_000_000 + n, 1_000_000 + n);
  }
  return dir;
}

async function pruned(dir: string, ...args: string[]) {
  const { code, out } = await command(dir, ["prune", "--keep", "2", "--json", ...args]);
  const { removed, failures } = JSON.parse(out);
  const names = (list: { path: string }[]) => list.map(({ path }) => path.slice(dir.length + 1)).sort();
  return { code, removed: names(removed), failed: names(failures), failures };
}

test("P14 prune names a document that it cannot read, also in a dry run", async () => {
  const dir = fiveDocuments();
  refuse("open", "EACCES", /ses_1\.json$/);
  refuseReads(/ses_2\.json$/);
  const planned = await pruned(dir, "--dry-run");
  expect(planned).toMatchObject({
    code: 1,
    removed: ["ses_0.json"],
    failures: [
      { path: join(dir, "ses_1.json"), error: "cannot be read: no permission (EACCES)" },
      { path: join(dir, "ses_2.json"), error: "cannot be read: the disk reports an error (EIO)" },
    ],
  });
  expect(await pruned(dir)).toEqual(planned);
  expect(readdirSync(dir).sort()).toEqual(["ses_1.json", "ses_2.json", "ses_3.json", "ses_4.json"]);
});

test("P14 prune names what it cannot remove: a document, and a file beside one", async () => {
  const dir = fiveDocuments();
  refuse("rename", "EPERM", /ses_1\.json$/);
  refuse("unlink", "EACCES", /damaged/);
  const done = await pruned(dir);
  expect(done).toMatchObject({ code: 1, removed: ["ses_0.json", "ses_2.json"] });
  expect(done.failures).toEqual([
    {
      path: join(dir, "ses_0.json.damaged.1-1-0-00000000-00000000"),
      error: "cannot be removed: no permission (EACCES)",
    },
    { path: join(dir, "ses_1.json"), error: "cannot be removed: not permitted (EPERM)" },
  ]);
  const { code, out, err } = await command(dir, ["prune", "--keep", "2"]);
  expect([code, out]).toEqual([1, ""]);
  expect(err).toContain("failed: ses_1.json: cannot be removed: not permitted (EPERM)\n");
  expect(err).toContain("0 documents removed, 0 B; 1 failed");
});

test("P14 prune names a document that was renamed and not removed by its new name", async () => {
  const dir = fiveDocuments();
  refuse("unlink", "EIO", /\.open$/);
  const { code, removed, failures } = await pruned(dir);
  expect([code, removed]).toEqual([1, []]);
  expect(failures[0]).toMatchObject({
    path: expect.stringMatching(/ses_0\.json\..*\.open$/),
    error: "cannot be removed: the disk reports an error (EIO)",
  });
});

test("P14 prune names a file whose times it cannot see, and goes on", async () => {
  const dir = fiveDocuments();
  refuse("lstat", "EACCES", /ses_1\.json$/);
  const done = await pruned(dir);
  expect(done).toMatchObject({ code: 1, removed: ["ses_0.json", "ses_2.json"], failed: ["ses_1.json"] });
});
