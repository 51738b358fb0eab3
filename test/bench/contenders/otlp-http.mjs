/** OTLP/HTTP to a server on this machine, under the stock BatchSpanProcessor. */
import { openStock } from "../stock.mjs";

export default {
  name: "otlp",
  title: "OTLP/HTTP to a local server, stock batches",
  needsServer: true,
  async open({ server }) {
    const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-http");
    return openStock(new OTLPTraceExporter({ url: `${server}/v1/traces` }));
  },
  survivors: async ({ server }) => Number(await (await fetch(`${server}/count`)).text()),
};
