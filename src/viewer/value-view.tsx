/** A value of a span: as text, as a tree, or as an image. Long and deep ones are shown in parts. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { byteCount, groupedNumber, safeText } from "../text/display-text.js";
import { type BinaryText, binaryText, bytesIn, isImage } from "./binary-text.js";
import { Markdown } from "./markdown.js";
import { parsedValue } from "./message-parts.js";

const firstChars = 4_000;
const moreChars = 100_000;
/** A longer text is not formatted. */
const longestMarkdown = 60_000;

/** A text that can be long: its beginning, and the rest on request. */
export function LongText({
  text,
  isMarkdown = false,
}: {
  readonly text: string;
  readonly isMarkdown?: boolean;
}): JSX.Element {
  const [shown, setShown] = useState(firstChars);
  const binary = binaryText(text);
  if (binary) return <Binary binary={binary} />;
  const left = text.length - shown;
  const part = safeText(left > 0 ? text.slice(0, shown) : text);
  return (
    <div class="long-text">
      {isMarkdown && part.length <= longestMarkdown ? (
        <Markdown text={part} />
      ) : (
        <pre class="text" dir="auto">
          {part}
        </pre>
      )}
      {left > 0 && (
        <button type="button" class="more" onClick={() => setShown(shown + moreChars)}>
          Show {left > moreChars ? `${groupedNumber(moreChars)} of ` : ""}
          {groupedNumber(left)} more characters
        </button>
      )}
    </div>
  );
}

function Binary({ binary }: { readonly binary: BinaryText }): JSX.Element {
  const [url, setUrl] = useState<string>();
  useEffect(() => () => (url === undefined ? undefined : URL.revokeObjectURL(url)), [url]);
  const kind = isImage(binary) ? "image" : "bytes";
  const show = () => {
    const bytes = bytesIn(binary);
    if (bytes) setUrl(URL.createObjectURL(new Blob([bytes], { type: binary.mediaType ?? "" })));
  };
  return (
    <div class="binary">
      <span>
        {kind}, {byteCount(binary.bytes)}
        {binary.mediaType ? `, ${binary.mediaType}` : ""}
      </span>
      {kind === "image" && url === undefined && (
        <button type="button" onClick={show}>
          Preview
        </button>
      )}
      {url !== undefined && <img src={url} alt={`${binary.mediaType}, ${byteCount(binary.bytes)}`} />}
    </div>
  );
}

type Mode = "text" | "tree" | "diff";

/** A value with the ways to look at it. */
export function ValueView({ value }: { readonly value: unknown }): JSX.Element {
  const parsed = parsedValue(value);
  const isTree = typeof parsed === "object" && parsed !== null;
  const diff = isTree ? changeIn(parsed) : undefined;
  const modes: readonly Mode[] = [
    ...(diff ? ["diff" as const] : []),
    ...(isTree ? ["tree" as const] : []),
    "text",
  ];
  const [chosen, setMode] = useState<Mode>();
  const mode = chosen !== undefined && modes.includes(chosen) ? chosen : (modes[0] as Mode);
  return (
    <div class="value">
      {modes.length > 1 && (
        <div class="modes" role="group" aria-label="Show as">
          {modes.map((one) => (
            <button type="button" aria-pressed={one === mode} onClick={() => setMode(one)}>
              {one}
            </button>
          ))}
        </div>
      )}
      {mode === "text" && <LongText text={textOf(value)} />}
      {mode === "tree" && (
        <div class="tree">
          <TreeNode value={parsed} isOpen />
        </div>
      )}
      {mode === "diff" && diff && <Diff before={diff.before} after={diff.after} />}
    </div>
  );
}

/** A value as text: what is copied, too. */
export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return JSON.stringify(value, null, 2) ?? "";
}

const entriesPerPage = 100;

function TreeNode({
  name,
  value,
  isOpen: isFirstOpen = false,
}: {
  readonly name?: string;
  readonly value: unknown;
  readonly isOpen?: boolean;
}): JSX.Element {
  const [isOpen, setOpen] = useState(isFirstOpen);
  const [most, setMost] = useState(entriesPerPage);
  const label = name === undefined ? "" : `${safeText(name.slice(0, 200))}: `;
  if (typeof value !== "object" || value === null) {
    const isText = typeof value === "string";
    return (
      <div class="leaf">
        <span class="key">{label}</span>
        {isText && value.length > 80 ? (
          <LongText text={value} />
        ) : (
          <span class={isText ? "string" : "literal"}>{safeText(isText ? value : String(value))}</span>
        )}
      </div>
    );
  }
  const entries = Object.entries(value);
  const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  return (
    <div class="branch">
      <button type="button" class="fold" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        <span class="key">{label}</span>
        <span class="size">{size}</span>
      </button>
      {isOpen && (
        <div class="inside">
          {entries.slice(0, most).map(([key, member]) => (
            <TreeNode
              key={key}
              name={key}
              value={member}
              isOpen={entries.length <= 3 && name === undefined}
            />
          ))}
          {entries.length > most && (
            <button type="button" class="more" onClick={() => setMost(most + entriesPerPage * 10)}>
              {groupedNumber(entries.length - most)} more
            </button>
          )}
        </div>
      )}
    </div>
  );
}

/** The texts before and after of a call that edits a file. */
function changeIn(value: object): { before: string; after: string } | undefined {
  const members = value as Record<string, unknown>;
  for (const [before, after] of [
    ["old_string", "new_string"],
    ["oldString", "newString"],
    ["old_str", "new_str"],
    ["before", "after"],
  ] as const) {
    const [a, b] = [members[before], members[after]];
    if (typeof a === "string" && typeof b === "string") return { before: a, after: b };
  }
  return undefined;
}

const mostDiffLines = 2_000;

/** Lines that both have at the beginning and the end, and what differs between them. */
function Diff({ before, after }: { readonly before: string; readonly after: string }): JSX.Element {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const part = (lines: readonly string[], from: number, to: number, sign: string, kind: string) =>
    lines.slice(from, Math.min(to, from + mostDiffLines)).map((line) => (
      <div class={kind}>
        <span class="sign">{sign}</span>
        {safeText(line.slice(0, firstChars))}
      </div>
    ));
  return (
    <div class="diff">
      {part(a, Math.max(0, start - 3), start, " ", "same")}
      {part(a, start, a.length - end, "−", "old")}
      {part(b, start, b.length - end, "+", "new")}
      {part(a, a.length - end, Math.min(a.length, a.length - end + 3), " ", "same")}
    </div>
  );
}
