/**
 * Runs a command in this process, with the build's `runCommandLine`. `take` gets each text of its output. Resolves with the
 * exit code, and what it wrote to stderr.
 */
export async function commandRun(runCommandLine, dir, args, take) {
  let err = "";
  const streamTo = (take) => ({
    write(text) {
      take(text);
      return true;
    },
  });
  const code = await runCommandLine(args, {
    stdout: streamTo(take),
    stderr: streamTo((text) => {
      err += text;
    }),
    env: { CRASH_SAFE_FILE_DIR: dir },
    cwd: dir,
    now: Date.now,
    signal: new AbortController().signal,
  });
  return { code, err };
}
