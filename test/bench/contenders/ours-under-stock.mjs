/** This package's exporter under the processors of the SDK. */
import { openOurs, oursSurvivors } from "../ours.mjs";

const underStock = (name, title, processor) => ({
  name,
  title,
  share: { sessions: { runs: 2, why: "two runs: each syncs 500 documents" } },
  open: (job) =>
    openOurs(job, {}, async ({ exporter }) => {
      const sdk = await import("@opentelemetry/sdk-trace-base");
      return new sdk[processor](exporter);
    }),
  survivors: oursSurvivors,
});

export default [
  underStock("ours-batch", "ours, stock BatchSpanProcessor", "BatchSpanProcessor"),
  underStock("ours-simple", "ours, stock SimpleSpanProcessor", "SimpleSpanProcessor"),
];
