import { sign, verify } from "node:crypto";
import { isObject, type Json } from "../objects.ts";
import type { SigningKey } from "./signingKey.ts";

/** RFC 7515 compact form, ES256. */
export function signJwt(key: SigningKey, claims: object): string {
  const head = encode({ alg: "ES256", kid: key.id });
  const signed = `${head}.${encode(claims)}`;
  const signature = sign("sha256", Buffer.from(signed), { key: key.privateKey, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}

/** The claims of a token that this key signed; undefined for any other text. What they say is not looked at. */
export function verifyJwt(key: SigningKey, token: string): Json | undefined {
  const parts = token.split(".");
  const [head, claims, signature] = parts;
  if (parts.length !== 3 || !head || !claims || !signature) return undefined;
  // The algorithm is ours to choose, never the token's.
  if (decode(head)?.alg !== "ES256") return undefined;
  const given = Buffer.from(signature, "base64url");
  const wanted = { key: key.publicKey, dsaEncoding: "ieee-p1363" } as const;
  return verify("sha256", Buffer.from(`${head}.${claims}`), wanted, given) ? decode(claims) : undefined;
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

function decode(part: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
