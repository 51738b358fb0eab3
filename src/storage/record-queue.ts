/** Records that wait in memory, in order, while the file system refuses them. */
import { sharedState } from "../platform/shared-state.js";

/** Bytes that wait: of one file, and of all. Further records are dropped. */
const maxBytes = 32_000_000;
const maxBytesOfAll = 64_000_000;

/** What waits in all queues of the process. */
const waiting = sharedState("queued-records/1", () => ({ bytes: 0 }));

export interface LogRecord {
  readonly bytes: Buffer;
  /** A span: its file can do without. Other records are few, and later ones need them. */
  readonly isSpan: boolean;
  /** Lines begin with a comma, which the first line of a file leaves out. */
  readonly isLine: boolean;
}

export class RecordQueue {
  #records: LogRecord[] = [];
  #bytes = 0;

  get length(): number {
    return this.#records.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Span lines among the records. */
  get lines(): number {
    return this.#records.filter(({ isLine }) => isLine).length;
  }

  get first(): LogRecord | undefined {
    return this.#records[0];
  }

  /** Adds a copy behind all others; `false` without room. */
  add(record: LogRecord): boolean {
    if (this.#bytes + record.bytes.length > maxBytes || hasNoRoom(record)) return false;
    this.#records.push(this.#counted(record));
    return true;
  }

  /** Adds a copy before all others; `false` without room, unless the file has the beginning of the record. */
  putFirst(record: LogRecord, isBegun = false): boolean {
    if (!isBegun && hasNoRoom(record)) return false;
    this.#records.unshift(this.#counted(record));
    return true;
  }

  /** Removes the first record. */
  shift(): void {
    this.#count(-(this.#records.shift()?.bytes.length ?? 0));
  }

  clear(): void {
    this.#records = [];
    this.#count(-this.#bytes);
  }

  #counted(record: LogRecord): LogRecord {
    this.#count(record.bytes.length);
    return { ...record, bytes: Buffer.from(record.bytes) };
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    waiting.bytes += bytes;
  }
}

const hasNoRoom = ({ isSpan, bytes }: LogRecord): boolean =>
  isSpan && waiting.bytes + bytes.length > maxBytesOfAll;
