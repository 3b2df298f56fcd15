import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { User } from "../route.ts";
import type { Attributes } from "./attributes.ts";

export type Verdict = { user: User } | { status: 401 | 403 | 500; message: string };

/** The one place where requests and upgrades are let in. */
export interface Guard {
  /** @param attributes what is asked for; any one of them that the user may do is enough */
  authorize(request: IncomingMessage, attributes: readonly Attributes[], signal: AbortSignal): Promise<Verdict>;
}

/** Lets in whoever shows a certificate of the kubelet-client CA. */
export const certificateGuard: Guard = {
  async authorize(request) {
    const socket = request.socket as TLSSocket;
    if (!socket.authorized) {
      return { status: 401, message: "Unauthorized: show a client certificate of the cluster's kubelet-client CA" };
    }
    const { CN = "", O = [] } = socket.getPeerCertificate().subject ?? {};
    return { user: { username: [CN].flat()[0] ?? "", groups: [...[O].flat(), "system:authenticated"] } };
  },
};
