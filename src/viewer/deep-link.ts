/** What of the page is in its address: session, view, span, search. A copied address shows the same again. */

export const views = ["overview", "timeline", "chat", "log"] as const;

export type View = (typeof views)[number];

export interface DeepLink {
  /** Name of the document; absent for the list of sessions, and on a shared page. */
  readonly session?: string;
  readonly view: View;
  /** Span id. */
  readonly span?: string;
  readonly search?: string;
}

export function readLink(hash: string): DeepLink {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const view = views.find((known) => known === given.get("view"));
  const [session, span, search] = [given.get("session"), given.get("span"), given.get("q")];
  return {
    ...(session && { session }),
    // A link to a span alone means the place where spans are.
    view: view ?? (span ? "timeline" : "overview"),
    ...(span && { span }),
    ...(search && { search }),
  };
}

export function linkHash({ session, view, span, search }: DeepLink): string {
  const parts = new URLSearchParams();
  if (session) parts.set("session", session);
  parts.set("view", view);
  if (span) parts.set("span", span);
  if (search) parts.set("q", search);
  return `#${parts}`;
}
