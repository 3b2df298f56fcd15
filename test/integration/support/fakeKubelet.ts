import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { expect } from "vitest";
import type { DevCluster } from "../../../src/devcluster/index.ts";
import { cleanups, pod, pods, readyNode, start, type Wire } from "./wire.ts";

export interface KubeletAnswers {
  request?: (path: string, response: ServerResponse, request: IncomingMessage) => void;
  upgrade?: (path: string, connection: Duplex, request: IncomingMessage) => void;
}

/** An embedded control plane with a pod `a` of containers `c` and `d`, on a node `n1` whose kubelet API answers so. */
export async function withKubelet(answers: KubeletAnswers): Promise<{ cluster: DevCluster; wire: Wire }> {
  const { cluster, wire } = await start();
  const node = readyNode("n1");
  node.status = { ...node.status, daemonEndpoints: { kubeletEndpoint: { Port: await fakeKubelet(cluster, answers) } } };
  await wire.post("/api/v1/nodes", node);
  const containers = ["c", "d"].map((name) => ({ name, image: "x" }));
  await wire.post(pods, pod("a", { nodeName: "n1", containers }));
  return { cluster, wire };
}

/** Asks for the API server's certificate. @returns its port */
async function fakeKubelet(cluster: DevCluster, { request, upgrade }: KubeletAnswers): Promise<number> {
  const { cert, key } = cluster.issueServing(["127.0.0.1"]);
  const server = createServer({ cert, key, ca: cluster.clientCaPem, requestCert: true, rejectUnauthorized: false });
  const checkCaller = (incoming: IncomingMessage) => {
    const socket = incoming.socket as TLSSocket;
    expect(socket.authorized).toBe(true);
    const { subject } = socket.getPeerCertificate();
    expect(subject).toMatchObject({ CN: "kube-apiserver-kubelet-client", O: "system:masters" });
    expect(incoming.headers.authorization).toBeUndefined();
  };
  server.on("request", (incoming, response) => {
    checkCaller(incoming);
    request?.(incoming.url ?? "", response, incoming);
  });
  if (upgrade) {
    server.on("upgrade", (incoming: IncomingMessage, connection: Duplex) => {
      checkCaller(incoming);
      cleanups.push(() => connection.destroy());
      upgrade(incoming.url ?? "", connection, incoming);
    });
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}
