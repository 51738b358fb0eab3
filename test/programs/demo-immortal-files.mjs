// Preloaded into the demo (`--import`): prevents the removal of side files, so that a promise of the demo is
// broken.
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const { unlinkSync } = fs;
fs.unlinkSync = (path) => {
  if (!/\.(open|live)$/.test(path)) unlinkSync(path);
};
syncBuiltinESMExports();
