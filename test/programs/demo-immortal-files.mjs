// Preloaded into the demo (`--import`): side files cannot be removed, so that a promise of the demo is broken.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const { unlinkSync } = fs;
fs.unlinkSync = (path) => {
  if (!/\.(open|live)$/.test(path)) unlinkSync(path);
};
syncBuiltinESMExports();
