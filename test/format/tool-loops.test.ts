import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeSpan } from "../../src/format/document.js";
import { ToolLoops } from "../../src/format/tool-loops.js";
import { Totals } from "../../src/format/totals.js";
import type { TraceSpan } from "../../src/format/trace-file.js";

interface Call {
  readonly tool: string;
  readonly input: unknown;
}

const call = (input: unknown, tool = "bash"): Call => ({ tool, input });

function loopsOf(calls: readonly Call[]): ToolLoops {
  const loops = new ToolLoops();
  for (const { tool, input } of calls) loops.add(tool, input);
  return loops;
}

const found = (calls: readonly Call[]) => loopsOf(calls).loops();

/** The contract, implemented naively: each window of ten calls, by the JSON of their inputs. */
function model(calls: readonly Call[]): Map<string, number> {
  const most = new Map<string, number>();
  calls.forEach((_, at) => {
    const window = calls.slice(Math.max(0, at - 9), at + 1).map((one) => JSON.stringify(one));
    const last = window.at(-1) as string;
    const count = window.filter((one) => one === last).length;
    if (count >= 3) most.set(last, Math.max(count, most.get(last) ?? 0));
  });
  return most;
}

/** Few tools and inputs, so that there are loops, also across every cut. */
const anyCalls = fc.array(
  fc.record({
    tool: fc.constantFrom("bash", "read"),
    input: fc.constantFrom<unknown>(
      1,
      "1",
      { a: [1] },
      null,
      { a: "x" },
      { a: "y" },
      { a: "x", b: "y" },
      { b: 1 },
    ),
  }),
  { maxLength: 100 },
);

describe("tool loops", () => {
  it("are reported from the third equal call within ten, with the largest number", () => {
    expect(found([call(1), call(1)])).toEqual([]);
    const [loop] = found([call({ q: 1 }), call(2), call({ q: 1 }), call({ q: 1 })]);
    expect(loop).toEqual({
      tool: "bash",
      inputHash: expect.stringMatching(/^-?[0-9a-z]{1,6}$/),
      count: 3,
      description: `bash called 3 times with same input (hash: ${loop?.inputHash})`,
    });
    expect(found(Array(25).fill(call(1)))).toMatchObject([{ count: 10 }]);
    const others = Array.from({ length: 20 }, (_, n) => call(`other ${n}`));
    // The window of ten ends with the third call, or just before it.
    expect(found([call(1), call(1), ...others.slice(0, 7), call(1)])).toMatchObject([{ count: 3 }]);
    expect(found([call(1), call(1), ...others.slice(0, 8), call(1)])).toEqual([]);
    // Kept once found.
    expect(found([call(1), call(1), call(1), ...others, call(1)])).toMatchObject([{ count: 3 }]);
  });

  it("distinguish inputs by their JSON, and tools by their names", () => {
    expect(found([call(1), call("1"), call([1])])).toEqual([]);
    expect(found([call(1, "a"), call(1, "b"), call(1, "c")])).toEqual([]);
    const near = "x".repeat(1_000_000);
    expect(found([call(`${near}1`), call(`${near}2`), call(`${near}3`)])).toEqual([]);
    expect(found([call(null), call(null), call(null)])).toHaveLength(1);
    expect(found([call({}), call({}), call({})])).toHaveLength(1);
  });

  it("do not count calls without a recorded input as equal", () => {
    const unknown = call(undefined);
    expect(found(Array(10).fill(unknown))).toEqual([]);
    // They still count as calls.
    expect(found([call(1), call(1), ...Array(7).fill(unknown), call(1)])).toHaveLength(1);
    expect(found([call(1), call(1), ...Array(8).fill(unknown), call(1)])).toEqual([]);
  });

  it("are those of every window, as the contract defines them", () => {
    fc.assert(
      fc.property(anyCalls, (calls) => {
        expect(found(calls).map(({ count }) => count)).toEqual([...model(calls).values()]);
      }),
      { numRuns: 500 },
    );
  });

  it("D7 of parts merged through files are those of the whole, however it is cut", () => {
    fc.assert(
      fc.property(anyCalls, fc.array(fc.nat({ max: 60 }), { maxLength: 3 }), (calls, at) => {
        const cuts = [0, ...at.sort((a, b) => a - b), calls.length];
        const parts = cuts.slice(1).map((to, n) => loopsOf(calls.slice(cuts[n], to)).toJson());
        // From the left and from the right, because repeated caps merge both ways.
        const left = new ToolLoops();
        for (const part of parts) left.merge(JSON.parse(JSON.stringify(part)));
        const right = parts.reduceRight((rest, part) => {
          const joined = new ToolLoops();
          joined.merge(part);
          joined.merge(rest);
          return joined.toJson();
        });
        expect(left.toJson()).toEqual(loopsOf(calls).toJson());
        expect(right).toEqual(loopsOf(calls).toJson());
      }),
      { numRuns: 500 },
    );
  });

  it("D7 of a resumed session continue from its last ten calls", () => {
    fc.assert(
      fc.property(anyCalls, anyCalls, (before, after) => {
        const resumed = new ToolLoops();
        const left = loopsOf(before);
        resumed.merge({ loops: left.loops(), calls: left.calls() });
        for (const { tool, input } of after) resumed.add(tool, input);
        expect(resumed.loops()).toEqual(found([...before, ...after]));
      }),
      { numRuns: 500 },
    );
  });

  it("D7 of a session that is resumed repeatedly stay in the order they were found", () => {
    const inputs = [1, 2, 3, 4].flatMap((input) => [input, input, input]);
    let resumed = new ToolLoops();
    for (const input of inputs) {
      const next = new ToolLoops();
      const { loops, calls } = resumed.toJson();
      next.merge({ loops, calls });
      next.add("bash", input);
      resumed = next;
    }
    expect(resumed.loops()).toEqual(found(inputs.map((input) => call(input))));
  });

  it("P6 D3 accept inputs that JSON cannot represent, and count equally from the file and from memory", () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const throwing = {
      toJSON: () => {
        throw new Error("no");
      },
    };
    const inputs = [
      circular,
      10n,
      throwing,
      Symbol("s"),
      () => 1,
      undefined,
      Number.NaN,
      new Date(0),
      { b: 1, 1: 2 },
    ];
    const live = new Totals();
    const read = new Totals();
    for (const input of inputs) {
      for (let n = 0; n < 3; n++) {
        live.add({ ...span, input });
        read.add(JSON.parse(encodeSpan({ ...span, input })));
      }
    }
    expect(live.loops().length).toBeGreaterThan(5);
    expect(read.loops()).toEqual(live.loops());
  });

  it("P8 keep a bounded number, and P6 accept any value in foreign files", () => {
    const many = loopsOf(Array.from({ length: 900 }, (_, n) => call(Math.floor(n / 3))));
    expect(many.loops()).toHaveLength(100);
    const hostile = new ToolLoops();
    hostile.merge({
      loops: [null, { tool: 1 }, { tool: "a", count: "3" }],
      calls: [null, {}],
      firstCalls: 7,
    } as never);
    hostile.merge({ loops: "none", calls: {} } as never);
    hostile.merge({ loops: [{ tool: "old", count: 4 }] });
    expect(hostile.loops()).toMatchObject([{ tool: "old", count: 4 }]);
    expect(hostile.calls()).toEqual([]);
  });
});

const span: TraceSpan = {
  spanId: "a",
  parentSpanId: null,
  name: "bash",
  kind: "tool",
  startTime: 0,
  status: "ok",
};
