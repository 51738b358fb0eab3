/** The differences of two documents of one session: as paths, with the kind of a span in the place of its id. */
import type { TraceFile, TraceSpan } from "../../src/format/trace-file.js";

/** A field that differs, with both values as JSON for diagnosis. */
export interface Difference {
  readonly path: string;
  readonly of: string;
  readonly expected: unknown;
  readonly actual: unknown;
}

/** The paths of the differences, each once, down to the field of a span. */
export const fieldsOf = (found: readonly Difference[]): string[] => [
  ...new Set(
    found.map(({ path }) => {
      const [first, second] = path.split(".");
      return second === undefined ? path : `${first}.${second}`;
    }),
  ),
];

/** Fields of `summary` and `metadata` are compared one by one. Deeper values are compared as a whole. */
export function differences(expected: TraceFile, actual: TraceFile): Difference[] {
  const found: Difference[] = [];
  const { spans: expectedSpans, layout: _, ...expectedRest } = expected;
  const { spans: actualSpans, layout: __, ...actualRest } = actual;
  compare("", "document", expectedRest, actualRest, 1, found);
  const ids = (spans: readonly TraceSpan[]) => spans.map(({ spanId }) => spanId);
  compare("order", "document", ids(expectedSpans), ids(actualSpans), 0, found);
  const unmatched = new Map(actualSpans.map((span) => [span.spanId, span]));
  for (const span of expectedSpans) {
    const other = unmatched.get(span.spanId);
    unmatched.delete(span.spanId);
    if (other) compare(span.kind, span.name, span, other, 1, found);
    else found.push({ path: span.kind, of: span.name, expected: span, actual: undefined });
  }
  for (const span of unmatched.values())
    found.push({ path: span.kind, of: span.name, expected: undefined, actual: span });
  return found;
}

function compare(
  path: string,
  of: string,
  expected: unknown,
  actual: unknown,
  depth: number,
  found: Difference[],
): void {
  if (same(expected, actual)) return;
  if (depth < 0 || !isObject(expected) || !isObject(actual)) {
    found.push({ path, of, expected, actual });
    return;
  }
  for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
    const further = path === "" ? key : `${path}.${key}`;
    compare(further, of, own(expected, key), own(actual, key), depth - 1, found);
  }
}

const own = (source: object, key: string): unknown => Object.getOwnPropertyDescriptor(source, key)?.value;

/** Both were JSON. Members of an object have no order. */
function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(ordered(a)) === JSON.stringify(ordered(b));
}

function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (!isObject(value)) return value;
  const entries = Object.keys(value)
    .sort()
    .map((key): [string, unknown] => [key, ordered(own(value, key))]);
  return entries;
}

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);
