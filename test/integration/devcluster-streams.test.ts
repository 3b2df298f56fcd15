import { once } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { request } from "node:https";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import type { DevCluster } from "../../src/devcluster/index.ts";
import type { Status } from "../../src/kube/types.ts";
import { withKubelet } from "./support/fakeKubelet.ts";
import { cleanups, pod, pods, tokenOf } from "./support/wire.ts";

interface Answer {
  code: number | undefined;
  headers: IncomingHttpHeaders;
  /** Of an upgraded connection. */
  connection?: Duplex;
  body?: string;
}

/** Asks for another protocol, as kubectl does. */
async function upgrade(
  cluster: DevCluster,
  path: string,
  { protocol = "SPDY/3.1", method = "POST", token = tokenOf(cluster) } = {},
): Promise<Answer> {
  const headers = { connection: "Upgrade", upgrade: protocol, authorization: `Bearer ${token}`, "x-kept": "yes" };
  const outgoing = request(`${cluster.url}${path}`, { method, headers, ca: cluster.caPem, agent: false });
  outgoing.end();
  return new Promise((resolve, reject) => {
    outgoing.on("error", reject);
    outgoing.on("upgrade", (response: IncomingMessage, connection: Duplex, head: Buffer) => {
      if (head.length > 0) connection.unshift(head);
      cleanups.push(() => connection.destroy());
      resolve({ code: response.statusCode, headers: response.headers, connection });
    });
    outgoing.on("response", async (response) => {
      resolve({ code: response.statusCode, headers: response.headers, body: await text(response) });
    });
  });
}

/** Says yes, then what was asked for and whatever comes in, in capitals. */
function shout(path: string, connection: Duplex, { headers, method }: IncomingMessage): void {
  connection.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${headers.upgrade}\r\n\r\n`);
  connection.write(`${method} ${path} ${headers["x-kept"]}\n`);
  connection.on("data", (chunk: Buffer) => connection.write(chunk.toString().toUpperCase()));
  connection.on("end", () => connection.end());
}

async function heard(connection: Duplex, wanted: string): Promise<string> {
  let all = "";
  while (!all.endsWith(wanted)) all += String((await once(connection, "data"))[0]);
  return all;
}

describe("exec, attach and port-forward", () => {
  it.each([
    [
      "exec?command=ls&command=-l%20a&stdin=true&stdout=true&container=d",
      "/exec/default/a/d?input=1&output=1&command=ls&command=-l+a",
    ],
    ["attach?stdout=1&stderr=true&tty=true&stdin=false&container=c", "/attach/default/a/c?output=1&error=1&tty=1"],
    ["portforward?ports=80&ports=81", "/portForward/default/a?port=80%2C81"],
    ["portforward", "/portForward/default/a"],
  ])("%s goes to the kubelet as bytes", async (asked, told) => {
    const { cluster } = await withKubelet({ upgrade: shout });
    const { code, headers, connection } = await upgrade(cluster, `${pods}/a/${asked}`);
    expect({ code, protocol: headers.upgrade }).toEqual({ code: 101, protocol: "SPDY/3.1" });
    expect(await heard(connection!, "\n")).toBe(`POST ${told} yes\n`);
    connection!.write("hello");
    expect(await heard(connection!, "HELLO")).toBe("HELLO");
  });

  it("goes by WebSocket too, and to any path of a node's kubelet API", async () => {
    const { cluster } = await withKubelet({ upgrade: shout });
    const options = { protocol: "websocket", method: "GET" };
    const { headers, connection } = await upgrade(cluster, "/api/v1/nodes/n1/proxy/exec/x?command=a", options);
    expect(headers.upgrade).toBe("websocket");
    expect(await heard(connection!, "\n")).toBe("GET /exec/x?command=a yes\n");
  });

  it("ends on both sides when either goes, and nothing of what was said is lost", async () => {
    const sides: Duplex[] = [];
    const { cluster } = await withKubelet({
      upgrade: (path, connection, incoming) => {
        sides.push(connection);
        shout(path, connection, incoming);
      },
    });
    const first = await upgrade(cluster, `${pods}/a/portforward`);
    await heard(first.connection!, "\n");
    first.connection!.destroy();
    await once(sides[0]!, "close");

    const second = await upgrade(cluster, `${pods}/a/portforward`);
    await heard(second.connection!, "\n");
    const megabyte = "x".repeat(1024 * 1024);
    sides[1]!.end(megabyte);
    expect(await text(second.connection!)).toBe(megabyte);
  });

  it("passes on what a kubelet answers that does not upgrade", async () => {
    const { cluster } = await withKubelet({
      request: (path, response) => response.writeHead(404, { "content-type": "text/plain" }).end(`no ${path}`),
    });
    const { code, headers, body } = await upgrade(cluster, `${pods}/a/attach?container=c`);
    expect({ code, type: headers["content-type"], body }).toEqual({
      code: 404,
      type: "text/plain",
      body: "no /attach/default/a/c",
    });
  });

  it("is refused by the API server itself where it can't be", async () => {
    const { cluster, wire } = await withKubelet({ upgrade: shout });
    await wire.post(pods, pod("homeless", { schedulerName: "nobody" }));
    const refused = async (path: string, options?: Parameters<typeof upgrade>[2]) => {
      const { code, body } = await upgrade(cluster, path, options);
      const status = JSON.parse(body ?? "") as Status;
      expect(status.code).toBe(code);
      return `${code} ${status.message}`;
    };
    expect(await refused(`${pods}/a/exec?command=ls`)).toMatch(/^400 a container name must be specified/);
    expect(await refused(`${pods}/b/exec?command=ls`)).toBe('404 pods "b" not found');
    expect(await refused(`${pods}/homeless/attach`)).toBe("400 pod homeless does not have a host assigned");
    expect(await refused(`${pods}/a/portforward`, { method: "PUT" })).toMatch(/^405 /);
    expect(await refused(pods)).toMatch(/^400 .* can't be upgraded/);
    expect(await refused(`${pods}/a/portforward`, { token: "wrong" })).toBe("401 Unauthorized");
    const plain = await wire.post(`${pods}/a/portforward`, "");
    expect([plain.code, plain.body.message]).toEqual([400, "Upgrade request required"]);
  });
});

describe("a node's proxy", () => {
  it("asks the kubelet API with the API server's certificate", async () => {
    const { wire } = await withKubelet({
      request: async (path, response, incoming) => {
        response.writeHead(path.startsWith("/missing") ? 404 : 200, { "content-type": "text/x-test" });
        response.end(`${incoming.method} ${path} ${await text(incoming)}`);
      },
    });
    const proxy = "/api/v1/nodes/n1/proxy";
    const got = await wire.get<string>(`${proxy}/stats/summary?only_cpu_and_memory=true`);
    expect([got.code, got.headers["content-type"], got.body]).toEqual([
      200,
      "text/x-test",
      "GET /stats/summary?only_cpu_and_memory=true ",
    ]);
    expect((await wire.post<string>(`${proxy}/run`, "body")).body).toBe("POST /run body");
    expect((await wire.get<string>(`${proxy}/missing`)).code).toBe(404);
    expect((await wire.get<Status>("/api/v1/nodes/n2/proxy/healthz")).body.message).toBe('nodes "n2" not found');
  });
});
