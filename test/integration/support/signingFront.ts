import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { TLSSocket } from "node:tls";
import { systemClock } from "../../../src/clock.ts";
import { ApiError } from "../../../src/kube/apiError.ts";
import { createClient } from "../../../src/kube/client.ts";
import { parseKubeconfig } from "../../../src/kube/kubeconfig.ts";
import { Signer } from "../../../src/node/admit/testing/signer.ts";
import { createAuthority } from "../../../src/pki/authority.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import type { TestControlPlane } from "./controlPlane.ts";

export interface SigningFront {
  readonly url: string;
  readonly caPem: string;
  adminKubeconfig(): string;
  stop(): Promise<void>;
}

const adminToken = "administrator";

/**
 * What the embedded control plane lacks for `admit`: signers, and a look at client certificates. Everything else is passed
 * on to it; a node may read its own Node, the administrator may do anything.
 */
export async function startSigningFront(cluster: TestControlPlane): Promise<SigningFront> {
  const [notBefore, notAfter] = [Date.now() - 60_000, Date.now() + 3_600_000];
  const authority = createAuthority(notBefore, notAfter);
  const signer = new Signer(authority);
  const access = parseKubeconfig(cluster.adminKubeconfig(), { file: "of the administrator" });
  const behind = createClient(access, { log: silentLogger, clock: systemClock, userAgent: "hostlet-test" });
  const own = authority.issue({ commonName: "front", use: "server", names: ["127.0.0.1"], notBefore, notAfter });
  const options = { ...own, ca: authority.caPem, requestCert: true, rejectUnauthorized: false };

  const server = createServer(options, async (request, response) => {
    const { method = "GET", url: path = "/", headers } = request;
    const socket = request.socket as TLSSocket;
    const node = socket.authorized ? String(socket.getPeerCertificate().subject.CN).replace("system:node:", "") : "";
    const answer = (code: number, body: unknown) => {
      response.writeHead(code, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    const refuse = (code: number, reason: string, message = reason) =>
      answer(code, { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message });
    if (headers.authorization !== `Bearer ${adminToken}`) {
      if (node === "") return refuse(401, "Unauthorized");
      if (method !== "GET" || path !== `/api/v1/nodes/${node}`) return refuse(403, "Forbidden");
    }
    try {
      const sent = await text(request);
      const body: unknown = sent === "" ? undefined : JSON.parse(sent);
      const contentType = headers["content-type"];
      const passOn = { ...(body === undefined ? {} : { body }), ...(contentType ? { contentType } : {}) };
      answer(200, signer.handle(method, path, body) ?? (await behind.request(method, path, passOn)));
    } catch (error) {
      if (error instanceof ApiError) refuse(error.code, error.reason, error.message);
      else refuse(500, "InternalError", String(error));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ca = Buffer.from(authority.caPem).toString("base64");
  return {
    url,
    caPem: authority.caPem,
    adminKubeconfig: () =>
      JSON.stringify({
        "current-context": "c",
        clusters: [{ name: "c", cluster: { server: url, "certificate-authority-data": ca } }],
        users: [{ name: "u", user: { token: adminToken } }],
        contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      }),
    async stop() {
      behind.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
