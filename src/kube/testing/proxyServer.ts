import { once } from "node:events";
import { createServer as createHttp, type IncomingMessage } from "node:http";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { testCertificates } from "./apiServer.ts";

export interface TestProxy {
  url: string;
  /** What was asked for: `host:port`, and who asked. */
  asked: string[];
  close(): Promise<void>;
}

async function listen(server: Server, scheme: string, asked: string[]): Promise<TestProxy> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function join(client: Socket, host: string, port: number, onReady: () => void): void {
  const upstream = connect(port, host, () => {
    onReady();
    upstream.pipe(client);
    client.pipe(upstream);
  });
  upstream.on("error", () => client.destroy());
  upstream.on("close", () => client.destroy());
  client.on("error", () => {});
  client.on("close", () => upstream.destroy());
}

/** @param auth what is demanded, `user:password` */
export function startHttpProxy(kind: "http" | "https", auth?: string): Promise<TestProxy> {
  const asked: string[] = [];
  const server = kind === "http" ? createHttp() : createHttps(testCertificates());
  server.on("connect", (request: IncomingMessage, client: Socket) => {
    const [, given = ""] = request.headers["proxy-authorization"]?.split(" ") ?? [];
    const user = Buffer.from(given, "base64").toString();
    asked.push(user === "" ? (request.url ?? "") : `${user} ${request.url}`);
    if (auth !== undefined && user !== auth) {
      return client.end("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    }
    const { hostname, port } = new URL(`http://${request.url}`);
    join(client, hostname, Number(port), () => client.write("HTTP/1.1 200 OK\r\n\r\n"));
  });
  return listen(server as unknown as Server, kind, asked);
}

/** Answers with addresses of all kinds, in turn. @param auth what is demanded, `user:password` */
export function startSocksProxy(auth?: string): Promise<TestProxy> {
  const asked: string[] = [];
  const server = createServer(async (client) => {
    const chunk = async () => ((await once(client, "data")) as [Buffer])[0];
    const hello = await chunk();
    const method = auth === undefined ? 0 : 2;
    if (!hello.subarray(2).includes(method)) return client.end(Buffer.from([5, 0xff]));
    client.write(Buffer.from([5, method]));
    let user = "";
    if (auth !== undefined) {
      const login = await chunk();
      const length = login[1] ?? 0;
      user = `${login.subarray(2, 2 + length)}:${login.subarray(3 + length)}`;
      client.write(Buffer.from([1, user === auth ? 0 : 1]));
      if (user !== auth) return;
    }
    const wanted = await chunk();
    const host = wanted.subarray(5, -2).toString();
    const port = wanted.readUInt16BE(wanted.length - 2);
    asked.push(user === "" ? `${host}:${port}` : `${user} ${host}:${port}`);
    if (host === "refused") return client.end(Buffer.from([5, 5, 0, 1, 0, 0, 0, 0, 0, 0]));
    const addresses = [
      [1, ...Buffer.alloc(4)],
      [4, ...Buffer.alloc(16)],
      [3, 3, 97, 98, 99],
    ];
    const address = addresses[asked.length % 3] ?? [];
    join(client, host, port, () => client.write(Buffer.from([5, 0, 0, ...address, 0, 0])));
  });
  return listen(server, "socks5", asked);
}
