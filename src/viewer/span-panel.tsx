/** Everything of one span. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ViewRow } from "../cli/session-view.js";
import type { ResourceRecord, ScopeRecord, TraceSpan } from "../format/trace-file.js";
import { clockTime, dateTime, groupedNumber, money, safeText } from "../text/display-text.js";
import { RelatedList } from "./related-sessions.js";
import { KindMark, kindWord, rowName, StateSign, stateWords } from "./row-signs.js";
import { rowTime } from "./row-time.js";
import { useSpans } from "./span-store.js";
import { textOf, ValueView } from "./value-view.js";
import { useViewer } from "./viewer-state.js";

export function SpanPanel({ row, close }: { readonly row: ViewRow; close(): void }): JSX.Element {
  const { store, session, select, related } = useViewer();
  const rows = useMemo(() => [row], [row]);
  const span = useSpans(store, rows)(row);
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    if (box.current) box.current.scrollTop = 0;
  }, [row.n]);
  const parent = row.parent === undefined ? undefined : session.byNumber.get(row.parent);
  const children = session.childrenOf.get(row.n) ?? [];
  const started = related.children.filter(({ spanId }) => spanId === row.spanId);
  return (
    <aside class="panel" aria-label="Span" ref={box} tabIndex={0}>
      <header>
        <div class="title">
          <KindMark row={row} />
          <h2 dir="auto">{rowName(row)}</h2>
          <button type="button" class="icon" aria-label="Close the span" onClick={close}>
            ×
          </button>
        </div>
        <p class="state">
          {kindWord(row)} · <StateSign state={row.state} />{" "}
          {row.state === "ok" ? "ok" : stateWords[row.state]} · {rowTime(row)}
          {row.turn > 0 && ` · turn ${row.turn}`}
        </p>
        {row.error && (
          <p class={`verdict ${row.state}`} dir="auto">
            {safeText(span?.statusMessage ?? row.error)}
          </p>
        )}
        <div class="acts">
          {span && <CopyButton label="Copy JSON" text={() => JSON.stringify(span, null, 2)} />}
          {span && <CopyButton label="Copy as text" text={() => spanText(row, span)} />}
        </div>
      </header>
      <dl class="facts">
        <Fact label="started">
          {dateTime(row.start).slice(0, 11)}
          {row.ms === null ? "unknown" : clockTime(row.start)}
        </Fact>
        <Fact label="ended">
          {row.end === undefined ? "still runs" : row.ms === null ? "unknown" : clockTime(row.end)}
        </Fact>
        {row.cost !== undefined && <Fact label="cost">{money(row.cost)}</Fact>}
        {span?.model?.modelId && (
          <Fact label="model">
            {safeText([span.model.providerId, span.model.modelId].filter(Boolean).join(" / "))}
          </Fact>
        )}
        {span?.finishReason && <Fact label="finished">{safeText(span.finishReason)}</Fact>}
        {span?.tool?.callId && <Fact label="call">{safeText(span.tool.callId)}</Fact>}
        <Fact label="span">{safeText(row.spanId)}</Fact>
        <Fact label="trace">{safeText(row.traceId ?? session.head.traceId)}</Fact>
        {span?.remoteParentSpanId && (
          <Fact label="parent elsewhere">{safeText(span.remoteParentSpanId)}</Fact>
        )}
      </dl>
      {span?.tokens && <Tokens tokens={span.tokens} />}
      {!span && <p class="note">Loading…</p>}
      {span?.input !== undefined && (
        <Part title="Input">
          <ValueView value={span.input} />
        </Part>
      )}
      {span?.output !== undefined && (
        <Part title="Output">
          <ValueView value={span.output} />
        </Part>
      )}
      {started.length > 0 && (
        <Part title={started.length === 1 ? "Subagent" : "Subagents"}>
          <RelatedList sessions={started} />
        </Part>
      )}
      {span && <Attributes span={span} />}
      {span && <Origin title="Resource" record={session.head.resources?.[span.resource ?? ""]} />}
      {span && <Origin title="Instrumentation scope" record={session.head.scopes?.[span.scope ?? ""]} />}
      {(parent || children.length > 0) && (
        <Part title="Around it">
          <ul class="steps">
            {[...(parent ? [parent] : []), ...children.slice(0, mostChildren)].map((one) => (
              <li>
                <button type="button" class="step" onClick={() => select(one, true)}>
                  <span class="name" dir="auto">
                    {rowName(one)}
                  </span>
                  <span class="when">
                    <StateSign state={one.state} /> {one === parent ? "parent" : "child"}
                  </span>
                </button>
              </li>
            ))}
          </ul>
          {children.length > mostChildren && (
            <p class="note">and {groupedNumber(children.length - mostChildren)} more</p>
          )}
        </Part>
      )}
    </aside>
  );
}

const mostChildren = 12;

/** What produced the span: its attributes, and the schema that they follow. */
function Origin({
  title,
  record,
}: {
  readonly title: string;
  readonly record: ResourceRecord | ScopeRecord | undefined;
}): JSX.Element | null {
  if (!record) return null;
  const { attributes, ...others } = record;
  return (
    <Part title={title}>
      <ValueView value={{ ...others, ...attributes }} />
    </Part>
  );
}

const Fact = ({
  label,
  children,
}: {
  readonly label: string;
  readonly children: ComponentChildren;
}): JSX.Element => (
  <div>
    <dt>{label}</dt>
    <dd>{children}</dd>
  </div>
);

const Part = ({
  title,
  children,
}: {
  readonly title: string;
  readonly children: ComponentChildren;
}): JSX.Element => (
  <section class="part">
    <h3>{title}</h3>
    {children}
  </section>
);

const tokenWords = {
  input: "input",
  cacheRead: "from the cache",
  cacheWrite: "to the cache",
  output: "output",
  reasoning: "reasoning",
  total: "total",
} as const;

function Tokens({ tokens }: { readonly tokens: NonNullable<TraceSpan["tokens"]> }): JSX.Element {
  const names = Object.keys(tokenWords) as (keyof typeof tokenWords)[];
  return (
    <Part title="Tokens">
      <dl class="facts">
        {names
          .filter((name) => Number.isFinite(tokens[name]) && (tokens[name] > 0 || name === "total"))
          .map((name) => (
            <Fact label={tokenWords[name]}>{groupedNumber(tokens[name])}</Fact>
          ))}
      </dl>
    </Part>
  );
}

/** Attributes; events and links, which the document keeps among them, apart. Members of newer versions as well. */
function Attributes({ span }: { readonly span: TraceSpan }): JSX.Element {
  const { "otel.events": events, "otel.links": links, ...attributes } = span.attributes ?? {};
  const others = Object.entries(span).filter(([key]) => !knownMembers.includes(key));
  return (
    <>
      {Object.keys(attributes).length > 0 && (
        <Part title="Attributes">
          <ValueView value={attributes} />
        </Part>
      )}
      {events !== undefined && (
        <Part title="Events">
          <ValueView value={events} />
        </Part>
      )}
      {links !== undefined && (
        <Part title="Links">
          <ValueView value={links} />
        </Part>
      )}
      {others.length > 0 && (
        <Part title="More">
          <ValueView value={Object.fromEntries(others)} />
        </Part>
      )}
    </>
  );
}

const knownMembers: readonly string[] = [
  "spanId",
  "parentSpanId",
  "name",
  "kind",
  "startTime",
  "endTime",
  "status",
  "statusMessage",
  "interrupted",
  "model",
  "finishReason",
  "cost",
  "tokens",
  "input",
  "output",
  "attributes",
  "original",
  "tool",
  "remoteParentSpanId",
  "traceId",
  "resource",
  "scope",
];

/** A span to paste into a message. */
function spanText(row: ViewRow, { input, output, statusMessage }: TraceSpan): string {
  const lines = [`${kindWord(row)} ${rowName(row)}: ${stateWords[row.state]}, ${rowTime(row)}`];
  if (statusMessage) lines.push(statusMessage);
  if (input !== undefined) lines.push("", "Input:", textOf(input));
  if (output !== undefined) lines.push("", "Output:", textOf(output));
  return lines.join("\n");
}

function CopyButton({ label, text }: { readonly label: string; text(): string }): JSX.Element {
  const [note, setNote] = useState("");
  const copy = () => {
    navigator.clipboard.writeText(text()).then(
      () => setNote("copied"),
      () => setNote("the browser does not allow it"),
    );
    setTimeout(() => setNote(""), 2_000);
  };
  return (
    <button type="button" class="chip" onClick={copy}>
      {note || label}
    </button>
  );
}
