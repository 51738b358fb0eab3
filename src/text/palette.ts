/** Colours and columns of a stream: https://no-color.org, and `FORCE_COLOR` as Node reads it. */
import pico from "picocolors";
import type { Environment } from "../platform/environment.js";

/** What is asked of a stream. */
export interface Screen {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** Functions that colour a text, or return the text where colours are off. */
export type Palette = ReturnType<typeof pico.createColors>;

/** The colours of a stream. A colour is never the only sign of anything. */
export const paletteOf = (screen: Screen, env: Environment): Palette =>
  pico.createColors(hasColors(screen, env));

/** No colours. */
export const plainPalette = (): Palette => pico.createColors(false);

function hasColors({ isTTY }: Screen, env: Environment): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== "0" && env.FORCE_COLOR !== "false";
  return isTTY === true && env.TERM !== "dumb";
}

const defaultColumns = 100;
const fewestColumns = 40;

/** Columns of a terminal; of another stream those of `COLUMNS`, or 100. */
export function columnsOf({ isTTY, columns }: Screen, env: Environment): number {
  return Math.max(fewestColumns, (isTTY && columns) || Number(env.COLUMNS) || defaultColumns);
}
