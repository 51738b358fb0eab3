import { defineConfig } from "vitest/config";

/** The viewer in a real browser. One file at a time: they measure. */
export default defineConfig({
  test: {
    include: ["test/viewer/*.browser.ts"],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    fileParallelism: false,
  },
});
