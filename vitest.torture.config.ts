import { defineConfig, mergeConfig } from "vitest/config";
import config from "./vitest.config.js";

/** The same tests with many more trials: an hour of kills, cuts and twins. */
export default mergeConfig(
  config,
  defineConfig({
    test: {
      env: { TORTURE: "1" },
      testTimeout: 3_600_000,
    },
  }),
);
