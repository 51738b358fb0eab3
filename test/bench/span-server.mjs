/** A server that counts the spans it gets, in a process of its own, started by the bench. */
import { createServer } from "node:http";

let spans = 0;
const server = createServer((request, response) => {
  if (request.url === "/count") return response.end(String(spans));
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    spans += Buffer.concat(pieces).toString("latin1").split('"spanId":').length - 1;
    response.setHeader("content-type", "application/json").end("{}");
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
// The bench holds the other end of this pipe.
process.stdin.resume().on("end", () => process.exit());
