/** What happened, on one page: the verdict with its evidence, what was running, errors, tokens, context, tools, waste. */
import type { ComponentChildren, JSX } from "preact";
import type { ViewRow, ViewStep } from "../cli/session-view.js";
import {
  clockTime,
  groupedNumber,
  knownCost,
  money,
  plural,
  shortDuration,
  shortNumber,
  timeInColumn,
  timeInWords,
} from "../text/display-text.js";
import { RelatedList } from "./related-sessions.js";
import type { SessionRows } from "./session-rows.js";
import { gapsOf } from "./time-axis.js";
import { useViewer } from "./viewer-state.js";

export function Overview(): JSX.Element {
  const { session, related } = useViewer();
  const { head } = session;
  const { report, usage } = head;
  return (
    <section class="overview" aria-label="Overview" tabIndex={0}>
      <Verdict />
      <div class="columns">
        <div class="column">
          {report.open.length > 0 && (
            <Card title={head.state === "running" ? "Running now" : "Under way at the end"}>
              <ul class="steps">
                {report.open.slice(0, mostSteps).map((step) => (
                  <StepLine step={step} time={`for ${timeInWords(step.durationMs, step.isLeast)}`} />
                ))}
              </ul>
              <More count={report.open.length - mostSteps} />
            </Card>
          )}
          {report.undone.length > 0 && (
            <Card title="Undone">
              <ul class="plain">
                {report.undone.slice(0, mostSteps).map((line) => (
                  <li dir="auto">{line}</li>
                ))}
              </ul>
              <More count={report.undone.length - mostSteps} />
            </Card>
          )}
          <Errors session={session} />
          {related.children.length > 0 && (
            <Card title="Subagents">
              <RelatedList sessions={related.children} />
            </Card>
          )}
          <LastSteps />
          <Waste session={session} />
        </div>
        <div class="column">
          <Context />
          {usage.models.length > 0 && <Models />}
          {usage.tools.length > 0 && <Tools />}
        </div>
      </div>
    </section>
  );
}

const mostSteps = 8;

const verdicts = {
  running: "Running",
  idle: "Waiting for the next message",
  completed: "Completed",
  error: "Ended with an error",
  crashed: "Crashed",
  damaged: "Damaged",
} as const;

function Verdict(): JSX.Element {
  const { session } = useViewer();
  const { head } = session;
  const { report, usage, state } = head;
  const [innermost] = report.open;
  const doing =
    innermost && (state === "crashed" || state === "running")
      ? ` ${state === "running" ? "" : "during "}`
      : "";
  const failed = failedRows(session).length;
  const idle = gapsOf(session.rows, head.to).reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const { modelCalls, toolCalls, tokens } = report.totals;
  // Requests of a server have no turns, models and tools.
  const isAgent = Math.max(head.turnCount, modelCalls, toolCalls, tokens) > 0;
  // The session span is none of the program.
  const spans = session.rows.filter(({ kind }) => kind !== "session").length;
  const counts: readonly (readonly [string, string])[] = isAgent
    ? [
        [groupedNumber(modelCalls), modelCalls === 1 ? "model call" : "model calls"],
        [groupedNumber(toolCalls), toolCalls === 1 ? "tool call" : "tool calls"],
        [shortNumber(tokens), "tokens"],
      ]
    : [[groupedNumber(spans), spans === 1 ? "span" : "spans"]];
  const facts: readonly (readonly [string, string])[] = [
    [shortDuration(head.to - head.from), idle > 0 ? `of which ${shortDuration(idle)} idle` : "duration"],
    ...(head.turnCount > 0
      ? ([[groupedNumber(head.turnCount), head.turnCount === 1 ? "turn" : "turns"]] as const)
      : []),
    ...counts,
    ...knownCost(report.totals.cost).map((cost) => [cost, "cost"] as const),
    ...(usage.total.cacheHitRatio === null
      ? []
      : ([[`${Math.round(usage.total.cacheHitRatio * 100)}%`, "cache hits"]] as const)),
    ...(failed > 0 ? ([[groupedNumber(failed), failed === 1 ? "error" : "errors"]] as const) : []),
  ];
  return (
    <header class={`verdict-box ${state}`}>
      <h2>
        {verdicts[state]}
        {doing && innermost ? (
          <>
            {doing || " "}
            <span class="during">{innermost.name}</span>
          </>
        ) : null}
      </h2>
      {report.evidence && <p class="evidence">{report.evidence}</p>}
      {report.asked && (
        <p class="asked" dir="auto">
          <span class="label">asked</span> {report.asked}
        </p>
      )}
      <dl class="facts">
        {facts.map(([value, label]) => (
          <div>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {(report.damage.corruptLines > 0 || head.elided > 0) && (
        <p class="damage">
          {[
            report.damage.corruptLines > 0 &&
              `${plural(report.damage.corruptLines, "line")} could not be read`,
            head.elided > 0 && `${plural(head.elided, "span")} were left out by a limit`,
          ]
            .filter(Boolean)
            .join("; ")}
        </p>
      )}
    </header>
  );
}

const Card = ({
  title,
  note,
  children,
}: {
  readonly title: string;
  readonly note?: string;
  readonly children: ComponentChildren;
}): JSX.Element => (
  <section class="card">
    <h3>
      {title}
      {note && <span class="note">{note}</span>}
    </h3>
    {children}
  </section>
);

const More = ({ count }: { readonly count: number }): JSX.Element | null =>
  count > 0 ? <p class="note">and {groupedNumber(count)} more</p> : null;

/** A step, as a way to its span. */
function StepLine({ step, time }: { readonly step: ViewStep; readonly time: string }): JSX.Element {
  const { session, show } = useViewer();
  const row = session.rows.find(({ spanId, kind }) => spanId === step.spanId && kind === step.kind);
  return (
    <li>
      <button type="button" class="step" onClick={() => row && show("timeline", row)}>
        <span class="name" dir="auto">
          {step.name}
        </span>
        <span class="when">{time}</span>
        {(step.message ?? step.input) && (
          <span class="gist" dir="auto">
            {step.message ?? step.input}
          </span>
        )}
      </button>
    </li>
  );
}

function LastSteps(): JSX.Element | null {
  const { head } = useViewer().session;
  const { lastCompleted, lastModelCall } = head.report;
  if (head.state === "completed" || (!lastCompleted && !lastModelCall)) return null;
  return (
    <Card title="Last steps">
      <ul class="steps">
        {lastCompleted && (
          <StepLine step={lastCompleted} time={`completed, ${shortDuration(lastCompleted.durationMs)}`} />
        )}
        {lastModelCall && lastModelCall.spanId !== lastCompleted?.spanId && (
          <StepLine step={lastModelCall} time="last model call" />
        )}
      </ul>
    </Card>
  );
}

/** The session span only repeats what went wrong below it. */
const failedRows = ({ rows }: SessionRows): readonly ViewRow[] =>
  rows.filter(({ state, kind }) => state === "failed" && kind !== "session");

function Errors({ session }: { readonly session: SessionRows }): JSX.Element | null {
  const failed = failedRows(session);
  if (failed.length === 0) return null;
  return (
    <Card
      title={failed.length === 1 ? "Error" : "Errors"}
      note={failed.length > 1 ? "the first one first" : undefined}
    >
      <ul class="steps">
        {failed.slice(0, mostSteps).map((row) => (
          <RowLine row={row} />
        ))}
      </ul>
      <More count={failed.length - mostSteps} />
    </Card>
  );
}

function RowLine({ row }: { readonly row: ViewRow }): JSX.Element {
  const { show } = useViewer();
  return (
    <li>
      <button type="button" class="step" onClick={() => show("timeline", row)}>
        <span class="name" dir="auto">
          {row.name}
        </span>
        <span class="when">{clockTime(row.start).slice(0, 8)}</span>
        {(row.error ?? row.gist) && (
          <span class="gist" dir="auto">
            {row.error ?? row.gist}
          </span>
        )}
      </button>
    </li>
  );
}

const percent = (part: number): string => `${(part * 100).toFixed(2)}%`;

/** The size of the context at each model call, with a mark at each compaction. */
function Context(): JSX.Element | null {
  const { session, show } = useViewer();
  const { context } = session.head;
  if (!context) return null;
  const { calls, compactions, largest, last, columns } = context;
  return (
    <Card
      title="Context"
      note={`${shortNumber(last)} tokens at the end, ${shortNumber(largest)} at most${compactions > 0 ? `, ${plural(compactions, "compaction")}` : ""}`}
    >
      <div
        class="chart"
        role="img"
        aria-label={`Context of ${plural(calls, "model call")}: at most ${groupedNumber(largest)} tokens, ${plural(compactions, "compaction")}`}
      >
        {columns.map(({ n, largest: size, isCompacted }) => (
          <span
            class={`column-bar${isCompacted ? " compacted" : ""}`}
            style={{ height: percent(Math.max(0.015, size / largest)) }}
            title={`${groupedNumber(size)} tokens${isCompacted ? ", after a compaction" : ""}`}
            onClick={() => show("timeline", session.byNumber.get(n))}
          />
        ))}
      </div>
    </Card>
  );
}

const mostRows = 12;

function Models(): JSX.Element {
  const { usage } = useViewer().session.head;
  const hasCost = usage.total.cost > 0;
  const titles = ["calls", "input", "cached", "output", "time", ...(hasCost ? ["cost"] : [])];
  return (
    <Card title="Models">
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>model</th>
              {titles.map((title) => (
                <th class="number">{title}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {usage.models.slice(0, mostRows).map(({ model, calls, tokens, durationMs, cost }) => (
              <tr>
                <td class="name" dir="auto">
                  {model}
                </td>
                <td class="number">{groupedNumber(calls)}</td>
                <td class="number">{shortNumber(tokens.input + tokens.cacheWrite)}</td>
                <td class="number">{shortNumber(tokens.cacheRead)}</td>
                <td class="number">{shortNumber(tokens.output + tokens.reasoning)}</td>
                <td class="number">{shortDuration(durationMs)}</td>
                {hasCost && <td class="number">{money(cost)}</td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

function Tools(): JSX.Element {
  const { usage } = useViewer().session.head;
  const longest = Math.max(1, ...usage.tools.slice(0, mostRows).map(({ durationMs }) => durationMs));
  return (
    <Card
      title="Tools"
      note={usage.tools.length > mostRows ? `${mostRows} of ${usage.tools.length}` : undefined}
    >
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>tool</th>
              {["calls", "errors", "slowest", "time"].map((title) => (
                <th class="number">{title}</th>
              ))}
              <th class="share">
                <span class="unseen">share of the time</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {usage.tools
              .slice(0, mostRows)
              .map(({ tool, calls, errors, interrupted, durationMs, isLeast, slowestMs }) => (
                <tr>
                  <td class="name" dir="auto">
                    {tool}
                  </td>
                  <td class="number">{groupedNumber(calls)}</td>
                  <td class={`number${errors ? " bad" : ""}`}>
                    {errors ? groupedNumber(errors) : interrupted ? `${interrupted} cut` : ""}
                  </td>
                  <td class="number">{slowestMs === null ? "" : shortDuration(slowestMs)}</td>
                  <td class="number">{timeInColumn(durationMs, isLeast)}</td>
                  <td class="share">
                    <span style={{ width: percent(durationMs / longest) }} />
                  </td>
                </tr>
              ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}

/** Loops, retries, and times in which nothing ran. */
function Waste({ session }: { readonly session: SessionRows }): JSX.Element | null {
  const { loops, retries } = session.head.usage;
  const gaps = gapsOf(session.rows, session.head.to).sort((a, b) => b.to - b.from - (a.to - a.from));
  if (loops.length + retries.length + gaps.length === 0) return null;
  return (
    <Card title="Loops, retries, idle times">
      <ul class="plain">
        {loops.slice(0, mostSteps).map(({ tool, count }) => (
          <li>
            <b>{tool}</b> was called {groupedNumber(count)} times with one input
          </li>
        ))}
        {retries.slice(0, mostSteps).map(({ name, attempts, failed, isSolved, wastedMillis, wastedCost }) => (
          <li>
            <b>{name}</b> failed {groupedNumber(failed)} of {groupedNumber(attempts)} times,{" "}
            {isSolved ? "then succeeded" : "and never succeeded"}: {shortDuration(wastedMillis)}
            {wastedCost > 0 && `, ${money(wastedCost)}`} lost
          </li>
        ))}
        {gaps.slice(0, 5).map(({ from, to }) => (
          <li>
            idle for <b>{shortDuration(to - from)}</b> from {clockTime(from).slice(0, 8)}
          </li>
        ))}
      </ul>
    </Card>
  );
}
