/** Sessions that end together share a listing of their directory. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Stage } from "../support/session-stage.js";

let stage: Stage;
beforeEach(() => {
  stage = new Stage();
});
afterEach(() => stage.remove());

const ids = (count: number) => Array.from({ length: count }, (_, n) => `ses_${n}`);

describe("P13 sessions that end together", () => {
  test("P13 list the directory once for each thread that writes their documents", async () => {
    const server = stage.actor();
    for (const id of ids(40)) server.record(id, 1);
    await server.processor.forceFlush();
    server.fileSystem.mark();
    await server.processor.shutdown();
    expect(server.fileSystem.names.filter((name) => name === "readdir").length).toBeLessThanOrEqual(2);
    for (const id of ids(40)) expect(stage.document(id).summary.status).toBe("completed");
    expect(stage.files).toHaveLength(40);
  });

  test("P7 P13 see a peer writer that came after the listing, and has published", async () => {
    const [server, peer] = [stage.actor(), stage.actor()];
    for (const id of ids(8)) server.record(id, 1);
    await server.processor.forceFlush();
    server.fileSystem.mark();
    const listed = server.fileSystem.hold((name) => name === "readdir", "done");
    const ends = server.processor.shutdown();
    await listed.reached;
    const span = peer.start("ses_7");
    await peer.processor.forceFlush();
    listed.release();
    await ends;
    const { summary, spans } = stage.document("ses_7");
    expect(summary.status).toBe("running");
    expect(spans.find(({ spanId }) => spanId === span.spanContext().spanId)).not.toHaveProperty(
      "interrupted",
    );
    for (const id of ids(7)) expect(stage.document(id).summary.status).toBe("completed");
    peer.end(span);
    await peer.processor.shutdown();
    expect(stage.document("ses_7").summary).toMatchObject({ status: "completed", interrupted: 0 });
    expect(stage.files).toHaveLength(8);
  });
});
