import { constants, type KeyObject, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import * as v from "valibot";
import type { Clock } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import type { OidcConfig } from "../api/config.ts";
import { bearerOf } from "./auth.ts";
import { HttpError } from "./exchange.ts";
import { type IssuerKey, KeySet } from "./keySet.ts";
import type { Authenticate } from "./server.ts";

interface Algorithm {
  type: string;
  hash: string | null;
  /** Of an elliptic curve, by OpenSSL's name. */
  curve?: string;
  pss?: boolean;
}

/** Never `none`, never a shared secret: whoever issues tokens signs them. */
const algorithms: Record<string, Algorithm> = {
  RS256: { type: "rsa", hash: "sha256" },
  RS384: { type: "rsa", hash: "sha384" },
  RS512: { type: "rsa", hash: "sha512" },
  PS256: { type: "rsa", hash: "sha256", pss: true },
  PS384: { type: "rsa", hash: "sha384", pss: true },
  PS512: { type: "rsa", hash: "sha512", pss: true },
  ES256: { type: "ec", hash: "sha256", curve: "prime256v1" },
  ES384: { type: "ec", hash: "sha384", curve: "secp384r1" },
  ES512: { type: "ec", hash: "sha512", curve: "secp521r1" },
  EdDSA: { type: "ed25519", hash: null },
};
/** What two clocks may be apart. */
const toleranceSeconds = 30;

const header = v.looseObject({ alg: v.string(), kid: v.optional(v.string()), crit: v.optional(v.undefined()) });
const claims = v.looseObject({
  iss: v.string(),
  aud: v.union([v.string(), v.array(v.string())]),
  exp: v.number(),
  nbf: v.optional(v.number()),
});

/**
 * Lets in who shows a token (JWT) of the issuer, for this audience, that has not run out and says what it must.
 * @throws {HostletError} ConfigInvalid: the key set can't be used
 */
export function oidcAuth(config: OidcConfig, clock: Clock): Authenticate {
  checkSource(config.jwks);
  const keys = new KeySet(config.jwks, clock);
  return async (request) => {
    const [head = "", body = "", signature = "", more] = bearerOf(request).split(".");
    const { alg, kid } = decode(header, head);
    const algorithm = Object.hasOwn(algorithms, alg) ? algorithms[alg]! : undefined;
    if (!algorithm || signature === "" || more !== undefined) throw unauthorized("no token that somebody signed");
    const candidates = await keys.find(kid).catch((cause: unknown) => {
      throw new HttpError(503, "the issuer's keys are not to be had", { cause });
    });
    const signed = Buffer.from(`${head}.${body}`);
    const given = Buffer.from(signature, "base64url");
    if (!candidates.some((key) => isSignedBy(key, alg, algorithm, signed, given)))
      throw unauthorized("not signed by the issuer");
    const found = decode(claims, body);
    const now = clock.now() / 1000;
    if (found.iss !== config.issuer) throw unauthorized("of another issuer");
    if (![found.aud].flat().includes(config.audience)) throw unauthorized("for another audience");
    if (now > found.exp + toleranceSeconds) throw unauthorized("has run out");
    if (found.nbf !== undefined && now < found.nbf - toleranceSeconds) throw unauthorized("is not valid yet");
    for (const [claim, wanted] of Object.entries(config.claims)) {
      if (!holds(found[claim], wanted))
        throw new HttpError(403, `Forbidden: the token's claim ${claim} is another one`);
    }
  };
}

/** The algorithm must be one of the key's own: a token's word alone decides nothing. */
function isSignedBy(
  { key, algorithm: only }: IssuerKey,
  alg: string,
  algorithm: Algorithm,
  signed: Buffer,
  given: Buffer,
): boolean {
  if ((only !== undefined && only !== alg) || key.asymmetricKeyType !== algorithm.type) return false;
  if (algorithm.curve !== undefined && key.asymmetricKeyDetails?.namedCurve !== algorithm.curve) return false;
  try {
    return verify(algorithm.hash, signed, options(key, algorithm), given);
  } catch {
    return false;
  }
}

function options(key: KeyObject, { type, pss }: Algorithm) {
  if (type === "ec") return { key, dsaEncoding: "ieee-p1363" as const };
  if (pss) return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return { key };
}

function decode<T extends v.GenericSchema>(schema: T, part: string): v.InferOutput<T> {
  try {
    return v.parse(schema, JSON.parse(Buffer.from(part, "base64url").toString()));
  } catch (cause) {
    throw unauthorized("is none", cause);
  }
}

function holds(value: unknown, wanted: string): boolean {
  return Array.isArray(value) ? value.includes(wanted) : value === wanted;
}

function unauthorized(why: string, cause?: unknown): HttpError {
  return new HttpError(401, `Unauthorized: the token ${why}`, cause === undefined ? {} : { cause });
}

/** A file is read at once, so that a mistake shows at the start; an issuer may be away then. */
function checkSource(jwks: string): void {
  if (/^https:\/\//.test(jwks)) return;
  try {
    readFileSync(jwks);
  } catch (cause) {
    throw new HostletError(
      "ConfigInvalid",
      `OIDC.JWKS: must be https://... or a file with a key set: ${(cause as Error).message}`,
      { cause },
    );
  }
}
