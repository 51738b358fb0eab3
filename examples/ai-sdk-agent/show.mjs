// Shows a session as a tree on a time axis, with the command of the package: `npx crash-safe-file show <session>`.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const command = fileURLToPath(
  new URL("cli.js", import.meta.resolve("opentelemetry-exporter-crash-safe-file")),
);

export function show(session, dir) {
  const { status } = spawnSync(process.execPath, [command, "show", session, "--dir", dir], {
    stdio: "inherit",
  });
  if (status !== 0) throw new Error(`crash-safe-file show ended with ${status}`);
}
