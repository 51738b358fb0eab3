/**
 * How much of what was recorded a power cut may cost. The death of the process alone costs nothing on any level.
 *
 * - `process`: what the system had not written by itself; a document is intact, older or newer
 * - `interval`: the last second, and what one sync takes
 * - `each`: nothing; every record is synced before its call returns
 */
export type Durability = "process" | "interval" | "each";
