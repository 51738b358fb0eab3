/** Sessions beside the one that is shown: the one that started it, and the subagents that it started. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { RelatedSession, RelatedSessions } from "../cli/viewer-server.js";
import { safeText } from "../text/display-text.js";
import { linkHash } from "./deep-link.js";
import type { SessionSource } from "./session-source.js";
import { StatusMark } from "./status-mark.js";

const refreshMillis = 3_000;

/** Looks again while a process writes to the session: it may start a subagent. */
export function useRelated(source: SessionSource, isRunning: boolean): RelatedSessions {
  const [related, setRelated] = useState<RelatedSessions>({ children: [] });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isShown = true;
    const load = async () => {
      const next = document.hidden ? undefined : await source.related().catch(() => undefined);
      if (!isShown) return;
      if (next) setRelated((known) => (JSON.stringify(known) === JSON.stringify(next) ? known : next));
      if (isRunning) timer = setTimeout(() => void load(), refreshMillis);
    };
    void load();
    return () => {
      isShown = false;
      clearTimeout(timer);
    };
  }, [source, isRunning]);
  return related;
}

/** The way back to the span that started this session. */
export function ParentLink({ parent }: { readonly parent: RelatedSession | undefined }): JSX.Element | null {
  if (!parent) return null;
  const { name, title, spanId } = parent;
  const link = { session: name, view: "timeline", ...(spanId && { span: spanId }) } as const;
  return (
    <a class="parent" href={linkHash(link)} title="The session that started this one">
      <span aria-hidden="true">↰</span> <span class="unseen">started by </span>
      <span dir="auto">{safeText(title)}</span>
    </a>
  );
}

export const RelatedList = ({ sessions }: { readonly sessions: readonly RelatedSession[] }): JSX.Element => (
  <ul class="steps">
    {sessions.map(({ name, title, state }) => (
      <li key={name}>
        <a class="step" href={linkHash({ session: name, view: "overview" })}>
          <span class="name" dir="auto">
            {safeText(title)}
          </span>
          <span class="when">
            <StatusMark state={state} />
          </span>
        </a>
      </li>
    ))}
  </ul>
);
