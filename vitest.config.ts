import { defineConfig } from "vitest/config";

export default defineConfig({
  // The default leaves out `.cts`.
  oxc: { include: /\.([cm]?ts|[jt]sx)$/ },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Tests spawn real processes and count system calls; two files at once is what small machines carry.
    maxWorkers: 2,
  },
});
