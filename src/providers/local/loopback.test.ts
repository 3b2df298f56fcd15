import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, it } from "vitest";
import { connectToLoopback } from "./loopback.ts";

it("connects by IPv4, and may say all it has to say before it listens", async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let all = "";
    socket.on("data", (chunk) => {
      all += chunk;
    });
    socket.on("end", () => socket.end(`got ${all}`));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = await connectToLoopback((server.address() as AddressInfo).port, new AbortController().signal);
  socket.end("everything");
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  expect(answer).toBe("got everything");
  server.close();
});

it("names the port and what it tried where nobody listens", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  const refused = connectToLoopback(port, new AbortController().signal);
  await expect(refused).rejects.toThrow(
    `port ${port} of the pod: 127.0.0.1:${port}: connection refused, [::1]:${port}`,
  );
});

it("gives up where its client has gone", async () => {
  await expect(connectToLoopback(1, AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
});
