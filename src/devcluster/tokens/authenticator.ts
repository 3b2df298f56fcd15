import type { Clock } from "../../clock.ts";
import type { User } from "../auth.ts";
import { keyOf } from "../objects.ts";
import { type ResourceType, resourceById } from "../resources.ts";
import type { Store } from "../store/store.ts";
import { verifyJwt } from "./jwt.ts";
import type { SigningKey } from "./signingKey.ts";

/** Who issues the tokens, and whom they are for where a request names nobody. */
export const apiAudience = "https://kubernetes.default.svc.cluster.local";

/** go-jose's allowance for clocks that differ. */
const leewaySeconds = 60;

interface Named {
  name: string;
  uid: string;
}

/** What kube-apiserver writes into a service account's token. Times are in seconds. */
export interface TokenClaims {
  aud: string[];
  exp: number;
  iat: number;
  iss: string;
  nbf: number;
  sub: string;
  "kubernetes.io": {
    namespace: string;
    pod?: Named;
    secret?: Named;
    serviceaccount: Named;
    warnafter?: number;
  };
}

/**
 * Whose token it is; undefined for one that isn't ours, isn't meant for the API server, has expired, or outlived its service
 * account or the pod or Secret that it is bound to.
 */
export function authenticateToken(
  { store, clock, signingKey }: { store: Store; clock: Clock; signingKey: SigningKey },
  token: string,
): User | undefined {
  // What the key has signed is what `createToken` wrote.
  const claims = verifyJwt(signingKey, token) as TokenClaims | undefined;
  if (!claims || claims.iss !== apiAudience || !claims.aud.includes(apiAudience)) return undefined;
  const now = clock.now() / 1000;
  if (now > claims.exp + leewaySeconds || now < claims.nbf - leewaySeconds) return undefined;
  const { namespace, serviceaccount, pod, secret } = claims["kubernetes.io"];
  const lives = (id: string, named: Named) => isAlive(store, resourceById(id), namespace, named, now);
  if (!lives("serviceaccounts", serviceaccount)) return undefined;
  if ((pod && !lives("pods", pod)) || (secret && !lives("secrets", secret))) return undefined;
  return {
    username: claims.sub,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
  };
}

function isAlive(store: Store, resource: ResourceType, namespace: string, { name, uid }: Named, now: number): boolean {
  const { metadata } = store.get(resource, keyOf(namespace, name))?.object ?? {};
  if (metadata?.uid !== uid) return false;
  const { deletionTimestamp } = metadata;
  return deletionTimestamp === undefined || Date.parse(deletionTimestamp) / 1000 >= now - leewaySeconds;
}
