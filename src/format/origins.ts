/**
 * The origins of spans: resources and instrumentation scopes, which a document has once, under keys that its spans name.
 * And the mark of a session that no program named.
 *
 * In memory and in journals an origin is a member of the metadata of its session, under a key with a prefix: whatever
 * merges, moves or recovers metadata does the same with origins. A document has them in tables of their own, and the mark
 * in its layout.
 */
import { isRecord, setOwn } from "./json-value.js";
import type { ResourceRecord, ScopeRecord, SessionMetadata, TraceFile } from "./trace-file.js";

const prefixes = { resources: "resource:", scopes: "scope:" } as const;
type Table = keyof typeof prefixes;
const tables = Object.keys(prefixes) as Table[];

const unnamedMember = "layout:unnamed";

/** The mark of the session that the policy `process` gives to spans without a session, as a member of metadata. */
export const unnamedMark = { [unnamedMember]: true } as Partial<SessionMetadata>;

/** Whether the session of this metadata has the {@link unnamedMark}. */
export const isMarkedUnnamed = (metadata: Partial<SessionMetadata>): boolean =>
  Object.hasOwn(metadata, unnamedMember);

/** The origin as a member of metadata. */
export const originMember = (
  table: Table,
  key: string,
  record: ResourceRecord | ScopeRecord,
): Partial<SessionMetadata> => ({
  [`${prefixes[table]}${key}`]: record,
});

/** Whether a member of metadata is an origin. */
export const isOrigin = (member: string): boolean =>
  tables.some((table) => member.startsWith(prefixes[table]));

/** The metadata and the tables of a document; a table without an entry is absent. */
export function splitOrigins<Metadata extends Partial<SessionMetadata>>(
  described: Metadata,
): Pick<TraceFile, "resources" | "scopes"> & { readonly metadata: Metadata } {
  const members = Object.entries(described);
  if (!members.some(([member]) => isOrigin(member) || member === unnamedMember))
    return { metadata: described };
  const metadata: Record<string, unknown> = {};
  const found: Partial<Record<Table, Record<string, unknown>>> = {};
  for (const [member, value] of members) {
    const table = tables.find((one) => member.startsWith(prefixes[one]));
    if (member === unnamedMember) continue;
    if (!table) {
      setOwn(metadata, member, value);
      continue;
    }
    found[table] ??= {};
    setOwn(found[table], member.slice(prefixes[table].length), value);
  }
  return { metadata: metadata as Metadata, ...(found as Pick<TraceFile, "resources" | "scopes">) };
}

/** The metadata of a document with its tables and its mark as members: the inverse of {@link splitOrigins}. */
export function withOrigins(
  metadata: SessionMetadata,
  document: { readonly [K in Table | "layout"]?: unknown },
): SessionMetadata {
  const { layout } = document;
  let described: SessionMetadata | undefined;
  if (isRecord(layout) && layout.unnamed === true) described = { ...metadata, ...unnamedMark };
  for (const table of tables) {
    const records = document[table];
    if (!isRecord(records)) continue;
    described ??= { ...metadata };
    for (const [key, record] of Object.entries(records))
      if (isRecord(record)) setOwn(described as Record<string, unknown>, `${prefixes[table]}${key}`, record);
  }
  return described ?? metadata;
}
