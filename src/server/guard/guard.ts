import { createHmac, randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import { isForbidden } from "../../kube/apiError.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { User } from "../route.ts";
import type { Attributes } from "./attributes.ts";
import { certificateUser } from "./certificateUser.ts";
import type { Reviews } from "./reviews.ts";
import { TtlCache } from "./ttlCache.ts";

export type Verdict = { user: User } | { status: 401 | 403 | 500; message: string };

/** The one place where requests and upgrades are let in. */
export interface Guard {
  /** @param attributes what is asked for; any one of them that the user may do is enough */
  authorize(request: IncomingMessage, attributes: readonly Attributes[]): Promise<Verdict>;
}

export interface GuardOptions {
  reviews: Reviews;
  clock: Clock;
  log: Logger;
}

/** How long the kubelet believes what it was told (authentication.webhook.cacheTTL, authorization.webhook.cache...TTL). */
export const tokenTtlMs = 2 * 60_000;
export const allowedTtlMs = 5 * 60_000;
export const deniedTtlMs = 30_000;
const cacheCapacity = 1024;
/** A longer one is nobody's, and need not be sent on. */
const longestToken = 16 * 1024;

const unauthorized: Verdict = {
  status: 401,
  message:
    "Unauthorized: show a client certificate of the cluster's kubelet-client CA, or a bearer token of the cluster",
};

/** Asks as the kubelet does: a client certificate first, then a bearer token (TokenReview); then a SubjectAccessReview. Anonymous: 401. */
export function createGuard({ reviews, clock, log }: GuardOptions): Guard {
  const tokens = new TtlCache<User | undefined>(clock, cacheCapacity, () => tokenTtlMs);
  const rights = new TtlCache<boolean>(clock, cacheCapacity, (allowed) => (allowed ? allowedTtlMs : deniedTtlMs));
  // Tokens are not kept, nor anything that they could be guessed from.
  const secret = randomBytes(32);
  const keyOf = (token: string) => createHmac("sha256", secret).update(token).digest("base64");

  const authenticate = async (request: IncomingMessage): Promise<User | undefined> => {
    const known = certificateUser(request.socket as TLSSocket, clock.now());
    if (known) return known;
    const token = /^bearer ([^\s]+)$/i.exec(request.headers.authorization ?? "")?.[1];
    if (token === undefined || token.length > longestToken) return undefined;
    const user = await tokens.get(keyOf(token), () => reviews.token(token));
    return user && { ...user, groups: [...new Set([...user.groups, "system:authenticated"])] };
  };

  const failed = (error: unknown, what: string): Verdict => {
    const hint = isForbidden(error) ? "; the agent's identity may not ask: apply deploy/rbac.yaml" : "";
    log.warn({ err: error }, `the kubelet API could not ask the cluster${hint}`);
    return { status: 500, message: what };
  };

  return {
    async authorize(request, attributes) {
      let user: User | undefined;
      try {
        user = await authenticate(request);
      } catch (error) {
        return failed(error, "Authentication error: the cluster could not be asked whose token this is");
      }
      if (!user) return unauthorized;
      const asking = user;
      const { verb } = attributes[0]!;
      const names = attributes.map(({ subresource }) => subresource).join(" ");
      const what = `(user=${user.username}, verb=${verb}, resource=nodes, subresource(s)=[${names}])`;
      try {
        for (const one of attributes) {
          const key = JSON.stringify([asking, one]);
          if (await rights.get(key, () => reviews.access(asking, one))) return { user };
        }
      } catch (error) {
        return failed(error, `Authorization error ${what}: the cluster could not be asked`);
      }
      return { status: 403, message: `Forbidden ${what}` };
    },
  };
}
