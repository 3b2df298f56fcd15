import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { type ClientHttp2Session, connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { afterEach } from "vitest";
import { parse } from "yaml";
import { type DevCluster, type DevClusterOptions, startDevCluster } from "../../../src/devcluster/index.ts";
import type { Node, Pod, Status } from "../../../src/kube/types.ts";

/** What a test opened, closed after it in reverse order. */
export const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Answer<T> {
  code: number;
  headers: IncomingHttpHeaders;
  body: T;
}

/** What is on the wire and nothing more: the tests are about that. */
export class Wire {
  readonly #session: ClientHttp2Session;
  readonly #token: string;

  constructor(cluster: DevCluster, token = tokenOf(cluster)) {
    this.#session = connect(cluster.url, { ca: cluster.caPem, maxSessionMemory: 1024 });
    this.#session.on("error", () => {});
    this.#token = token;
    cleanups.push(() => this.#session.destroy());
  }

  async call<T = Status>(
    method: string,
    path: string,
    body?: unknown,
    type = "application/json",
    accept = "*/*",
  ): Promise<Answer<T>> {
    const stream = this.#open(method, path, { "content-type": type, accept }, body === undefined);
    if (body !== undefined) stream.end(typeof body === "string" ? body : JSON.stringify(body));
    const headers = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
      stream.once("response", resolve);
      stream.once("error", reject);
      stream.once("close", () => reject(new Error("closed without an answer")));
    });
    let text = "";
    for await (const chunk of stream.setEncoding("utf8")) text += chunk;
    if (stream.rstCode !== 0) throw new Error(`the stream was reset: ${stream.rstCode}`);
    const json = String(headers["content-type"]).startsWith("application/json");
    return { code: Number(headers[":status"]), headers, body: (json ? JSON.parse(text) : text) as T };
  }

  get = <T = Status>(path: string) => this.call<T>("GET", path);
  post = <T = Status>(path: string, body: unknown) => this.call<T>("POST", path, body);
  strategic = <T = Status>(path: string, body: unknown) =>
    this.call<T>("PATCH", path, body, "application/strategic-merge-patch+json");

  /** The lines of an answer without an end. */
  lines(path: string): { next(): Promise<string | undefined>; close(): void } {
    const stream = this.#open("GET", path, {});
    stream.on("error", () => {});
    const lines: Interface = createInterface(stream);
    const iterator = lines[Symbol.asyncIterator]();
    return {
      next: async () => (await iterator.next()).value as string | undefined,
      close: () => stream.close(8),
    };
  }

  watch(path: string) {
    const { next, close } = this.lines(path);
    return {
      close,
      async next(): Promise<{ type: string; object: Pod & Status } | undefined> {
        const line = await next();
        return line === undefined ? undefined : JSON.parse(line);
      },
      async types(count: number): Promise<string[]> {
        const seen: string[] = [];
        while (seen.length < count) {
          const event = JSON.parse((await next()) ?? "{}");
          seen.push(`${event.type} ${event.object?.metadata?.name ?? event.object?.reason}`);
        }
        return seen;
      },
    };
  }

  #open(method: string, path: string, headers: Record<string, string>, endStream = true) {
    return this.#session.request(
      {
        ":method": method,
        ":path": path,
        authorization: `Bearer ${this.#token}`,
        ...headers,
      },
      { endStream },
    );
  }
}

export function tokenOf(cluster: DevCluster): string {
  return parse(cluster.kubeconfig("admin")).users[0].user.token;
}

export async function start(options: DevClusterOptions = {}) {
  const cluster = await startDevCluster(options);
  cleanups.push(() => cluster.stop());
  return { cluster, wire: new Wire(cluster) };
}

export const pods = "/api/v1/namespaces/default/pods";
export const configMaps = "/api/v1/namespaces/default/configmaps";
export const events = "/api/v1/namespaces/default/events";

export const pod = (name: string, spec: object = {}): Pod => ({
  metadata: { name },
  spec: { containers: [{ name: "c", image: "x" }], ...spec },
});

export const readyNode = (name: string): Node => ({
  metadata: { name, labels: { "kubernetes.io/role": "agent" } },
  status: {
    conditions: [{ type: "Ready", status: "True" }],
    allocatable: { cpu: "1", memory: "1Gi", pods: "10" },
    addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
  },
});

export function temporary(): string {
  const dir = mkdtempSync(join(tmpdir(), "devcluster-"));
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
