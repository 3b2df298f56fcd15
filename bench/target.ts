import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { input, tell, toldToEnd } from "./child.ts";

/** What probes ask: an HTTP server, which is also one for TCP, and a gRPC health service that always serves. */
export interface TargetPorts {
  http: number;
  grpc: number;
}

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1", 1024);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

await input();
const http = createServer((_request, response) => response.end("ok"));
const grpc = createHttp2();
grpc.on("stream", (stream) => {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
});
tell({ http: await listen(http), grpc: await listen(grpc) } satisfies TargetPorts);
await toldToEnd();
process.exit(0);
