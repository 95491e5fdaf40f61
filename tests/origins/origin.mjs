// A real upstream: Node's own HTTP server. Writes one line of JSON for every request that it understood.
// Prints its port first. `target` is what stood in the request line, `path` what an application routes by.
import http from "node:http";

const server = http.createServer((request, response) => {
  let length = 0;
  request.on("data", (chunk) => (length += chunk.length));
  request.on("end", () => {
    const target = request.url;
    let path;
    try {
      path = decodeURIComponent(new URL(target, "http://origin").pathname);
    } catch {
      path = target;
    }
    const seen = {
      case: request.headers["x-case"] ?? null,
      id: request.headers["x-request-id"] ?? null,
      method: request.method,
      host: request.headers.host ?? null,
      target,
      path,
      length,
    };
    process.stdout.write(JSON.stringify(seen) + "\n");
    response.end("origin");
  });
  request.on("error", () => {});
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
