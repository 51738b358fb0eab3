/**
 * Markdown of models as elements: headings, lists, quotes, tables, code, emphasis, links. Everything else stays text; texts
 * never become HTML. Each line is looked at once, so that a long text takes time in proportion to its length.
 */
import type { ComponentChildren, JSX } from "preact";

export function Markdown({ text }: { readonly text: string }): JSX.Element {
  return <div class="markdown">{blocks(text.replace(/\r\n?/g, "\n").split("\n"))}</div>;
}

const fence = /^\s*(```+|~~~+)\s*([\w+#.-]*)/;
const heading = /^(#{1,6})\s+(.*)$/;
const item = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const quote = /^\s*>\s?(.*)$/;
const rule = /^\s*([-*_])(\s*\1){2,}\s*$/;
const tableLine = /^\s*\|.*\|\s*$/;

function blocks(lines: readonly string[]): JSX.Element[] {
  const found: JSX.Element[] = [];
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] as string;
    const [, mark, language] = fence.exec(line) ?? [];
    if (mark !== undefined) {
      let end = at + 1;
      while (end < lines.length && !(lines[end] as string).trimStart().startsWith(mark)) end++;
      found.push(<Code text={lines.slice(at + 1, end).join("\n")} language={language ?? ""} />);
      at = end + 1;
      continue;
    }
    if (line.trim() === "") {
      at++;
      continue;
    }
    const [, level, title] = heading.exec(line) ?? [];
    if (level !== undefined) {
      // Headings of a model are no headings of the page.
      found.push(<p class={`heading heading-${level.length}`}>{inline(title ?? "")}</p>);
      at++;
      continue;
    }
    if (rule.test(line)) {
      found.push(<hr />);
      at++;
      continue;
    }
    const taken = (matches: (one: string) => boolean): readonly string[] => {
      let end = at;
      while (end < lines.length && matches(lines[end] as string)) end++;
      const part = lines.slice(at, end);
      at = end;
      return part;
    };
    if (quote.test(line)) {
      const inside = taken((one) => quote.test(one)).map((one) => quote.exec(one)?.[1] ?? "");
      found.push(<blockquote>{paragraph(inside)}</blockquote>);
      continue;
    }
    if (tableLine.test(line)) {
      found.push(<Table lines={taken((one) => tableLine.test(one))} />);
      continue;
    }
    if (item.test(line)) {
      found.push(
        <List lines={taken((one) => item.test(one) || (/^\s{2,}\S/.test(one) && !fence.test(one)))} />,
      );
      continue;
    }
    found.push(<p>{paragraph(taken((one) => one.trim() !== "" && !startsBlock(one)))}</p>);
  }
  return found;
}

const startsBlock = (line: string): boolean =>
  [fence, heading, item, quote, tableLine, rule].some((start) => start.test(line));

function Code({ text, language }: { readonly text: string; readonly language: string }): JSX.Element {
  return (
    <figure class="code">
      {language && <figcaption>{language}</figcaption>}
      <pre tabIndex={0}>{text}</pre>
    </figure>
  );
}

/** Nested items keep their indentation, in one list. */
function List({ lines }: { readonly lines: readonly string[] }): JSX.Element {
  const items: { indent: number; mark: string; text: string }[] = [];
  for (const line of lines) {
    const [, indent, mark, text] = item.exec(line) ?? [];
    if (mark !== undefined)
      items.push({ indent: Math.min(4, Math.floor((indent ?? "").length / 2)), mark, text: text ?? "" });
    else if (items.length > 0) (items.at(-1) as { text: string }).text += ` ${line.trim()}`;
  }
  return (
    <ul class="list">
      {items.map(({ indent, mark, text }) => (
        <li class={`indent-${indent}`}>
          <span class="mark">{/\d/.test(mark) ? mark : "•"}</span>
          <span>{inline(text)}</span>
        </li>
      ))}
    </ul>
  );
}

function Table({ lines }: { readonly lines: readonly string[] }): JSX.Element {
  const cells = (line: string) =>
    line
      .trim()
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim());
  const rows = lines.filter((line) => !/^[\s|:-]+$/.test(line)).map(cells);
  const [head = [], ...body] = rows;
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            {head.map((cell) => (
              <th>{inline(cell)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {body.map((row) => (
            <tr>
              {row.map((cell) => (
                <td>{inline(cell)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function paragraph(lines: readonly string[]): ComponentChildren[] {
  return lines.flatMap((line, at) => (at === 0 ? inline(line) : [<br />, ...inline(line)]));
}

/** Code, bold, emphasis, links. Bounded repetitions: an unclosed mark costs its neighbourhood only. */
const marks =
  /`([^`\n]{1,400})`|\*\*([^*\n]{1,400})\*\*|(?<![\w*])\*([^*\s][^*\n]{0,200})\*(?!\w)|\[([^\]\n]{1,200})\]\((https?:\/\/[^)\s]{1,500})\)/g;

function inline(text: string): ComponentChildren[] {
  const found: ComponentChildren[] = [];
  let from = 0;
  for (const match of text.matchAll(marks)) {
    const [whole, code, bold, emphasis, label, url] = match;
    if (match.index > from) found.push(text.slice(from, match.index));
    from = match.index + whole.length;
    if (code !== undefined) found.push(<code>{code}</code>);
    else if (bold !== undefined) found.push(<strong>{bold}</strong>);
    else if (emphasis !== undefined) found.push(<em>{emphasis}</em>);
    else
      found.push(
        <a href={url} rel="noopener noreferrer" target="_blank" title={url}>
          {label}
        </a>,
      );
  }
  if (from < text.length) found.push(text.slice(from));
  return found;
}
