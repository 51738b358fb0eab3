/** A long session comes in parts: what the page shows while they arrive, and that all of them make the whole. */
import { expect, test } from "vitest";
import type { ViewHead, ViewRow } from "../../src/cli/session-view.js";
import { viewParts } from "../../src/cli/view-parts.js";
import { ArrivingSession } from "../../src/viewer/arriving-session.js";
import { noFilter, sessionRows, treeRows } from "../../src/viewer/session-rows.js";

const head = { from: 0, to: 1_000, turns: [], elided: 0 } as unknown as ViewHead;

const row = (n: number, more: Partial<ViewRow> = {}): ViewRow => ({
  n,
  ...(n > 0 && { parent: 0 }),
  spanId: `s${n}`,
  kind: "tool",
  name: `tool ${n}`,
  state: "ok",
  start: n,
  end: n + 10,
  ms: 10,
  turn: 1,
  ...more,
});

const rows = Array.from({ length: 1_000 }, (_, n) => row(n));

const shownIn = (session: ReturnType<typeof sessionRows>) =>
  treeRows(session, new Set(), noFilter).map(({ row: { n }, depth }) => `${n}@${depth}`);

test("the parts of a view have each row once, and say how many are left", () => {
  const parts = [...viewParts("view", head, rows, 300)];
  expect(parts.map(({ type, left }) => [type, left])).toEqual([
    ["view", 700],
    ["rows", 400],
    ["rows", 100],
    ["rows", 0],
  ]);
  expect(parts.flatMap((part) => part.rows)).toEqual(rows);
  expect([...viewParts("delta", head, rows.slice(0, 3), 300)]).toEqual([
    { type: "delta", head, rows: rows.slice(0, 3) },
  ]);
});

test("P13 shows the first part at once, then as often as what is there has doubled, and the whole at the end", () => {
  const arriving = new ArrivingSession();
  const shown: number[] = [];
  let last: ReturnType<typeof sessionRows> | undefined;
  for (const part of viewParts("view", head, rows, 10)) {
    const session = arriving.take(part);
    if (!session) continue;
    shown.push(session.rows.length);
    expect(session.left).toBe(rows.length - session.rows.length);
    last = session;
  }
  expect(shown).toEqual([10, 20, 40, 80, 160, 320, 640, 1_000]);
  expect(last && shownIn(last)).toEqual(shownIn(sessionRows({ head, rows })));
});

test("a row that arrives before its parent is a root until then", () => {
  const early = [
    row(1, { parent: 5 }),
    row(2, { parent: 5 }),
    row(3, { parent: 99 }),
    row(0),
    row(5, { start: 50 }),
  ];
  const arriving = new ArrivingSession();
  const sessions = [...viewParts("view", head, early, 2)].map((part) => arriving.take(part));
  expect(sessions[0] && shownIn(sessions[0])).toEqual(["1@0", "2@0"]);
  const whole = sessions.at(-1);
  expect(whole && shownIn(whole)).toEqual(["3@0", "0@0", "5@1", "1@2", "2@2"]);
  expect(whole?.roots.map(({ n }) => n)).toEqual([3, 0]);
});

test("a change in parts is shown when all of it is there; a new view takes the place of all that came before", () => {
  const arriving = new ArrivingSession();
  arriving.take({ type: "view", head, rows: rows.slice(0, 5) });
  const changed = rows.slice(0, 400).map((one) => ({ ...one, name: "changed" }));
  const sessions = [...viewParts("delta", head, changed, 100)].map((part) => arriving.take(part));
  expect(sessions.slice(0, -1)).toEqual([undefined, undefined, undefined]);
  expect(sessions.at(-1)?.rows).toHaveLength(400);
  expect(sessions.at(-1)?.byNumber.get(3)?.name).toBe("changed");
  // The connection was lost in the middle of a view: the server begins again.
  arriving.take({ type: "view", head, rows: rows.slice(0, 5), left: 995 });
  const again = arriving.take({ type: "view", head, rows: rows.slice(0, 2) });
  expect(again).toMatchObject({ left: 0, rows: rows.slice(0, 2) });
});
