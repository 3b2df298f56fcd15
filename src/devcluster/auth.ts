import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** Who asks. There are no roles here: whoever has credentials of this control plane may do everything. */
export interface User {
  username: string;
  groups: string[];
}

export const adminUser: User = { username: "kubernetes-admin", groups: ["system:masters", "system:authenticated"] };

export function nodeUser(node: string): User {
  return { username: `system:node:${node}`, groups: ["system:nodes", "system:authenticated"] };
}

const prefix = "hostlet";

/**
 * Bearer tokens: the identity and an HMAC-SHA256 of it under a secret of 256 random bits. So nothing but the secret has
 * to be kept for a kubeconfig to stay valid over a restart.
 */
export function issueToken(secret: Buffer, user: User): string {
  const identity = Buffer.from(JSON.stringify(user)).toString("base64url");
  return `${prefix}.${identity}.${mac(secret, identity).toString("base64url")}`;
}

/** The token's user; undefined for a token that isn't ours. */
export function verifyToken(secret: Buffer, token: string): User | undefined {
  const [head, identity, signature, ...rest] = token.split(".");
  if (head !== prefix || identity === undefined || signature === undefined || rest.length > 0) return undefined;
  const given = Buffer.from(signature, "base64url");
  const wanted = mac(secret, identity);
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
  return JSON.parse(Buffer.from(identity, "base64url").toString()) as User;
}

function mac(secret: Buffer, identity: string): Buffer {
  return createHmac("sha256", secret).update(identity).digest();
}

/** The subject of a client certificate as Kubernetes reads it: CN is the user, each O a group. */
export function certificateUser(subject: { CN?: string | string[]; O?: string | string[] }): User | undefined {
  const username = Array.isArray(subject.CN) ? subject.CN[0] : subject.CN;
  if (!username) return undefined;
  const groups = subject.O === undefined ? [] : Array.isArray(subject.O) ? subject.O : [subject.O];
  return { username, groups: [...groups, "system:authenticated"] };
}

/**
 * Whom a request acts as: `kubectl --as USER --as-group GROUP`. Everybody may be everybody here; who acts as nobody
 * (system:anonymous) is let in as little as nobody is.
 */
export function actingUser(user: User, headers: IncomingHttpHeaders): User | undefined {
  const username = String(headers["impersonate-user"] ?? "");
  if (username === "") return user;
  if (username === "system:anonymous") return undefined;
  const asked = String(headers["impersonate-group"] ?? "");
  const groups = asked === "" ? serviceAccountGroups(username) : asked.split(", ");
  return { username, groups: [...new Set([...groups, "system:authenticated"])] };
}

function serviceAccountGroups(username: string): string[] {
  const [, namespace] = /^system:serviceaccount:([^:]+):[^:]+$/.exec(username) ?? [];
  return namespace === undefined ? [] : ["system:serviceaccounts", `system:serviceaccounts:${namespace}`];
}
