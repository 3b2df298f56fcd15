import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../clock.ts";
import { tokenFileAuth } from "./auth.ts";
import { oidcAuth } from "./oidc.ts";

let dir: string;
const issuer = "https://issuer.example.org";
const ec = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed = generateKeyPairSync("ed25519");

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-auth-"));
  const keys = [
    { ...ec.publicKey.export({ format: "jwk" }), kid: "1", alg: "ES256" },
    { ...rsa.publicKey.export({ format: "jwk" }), kid: "2" },
    { ...ed.publicKey.export({ format: "jwk" }), kid: "3", use: "sig" },
    { kty: "oct", k: "c2VjcmV0", kid: "4" },
  ];
  writeFileSync(join(dir, "keys.json"), JSON.stringify({ keys }));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const request = (authorization?: string) => ({ headers: { authorization } }) as unknown as IncomingMessage;
const auth = () =>
  oidcAuth({ issuer, audience: "interlink", jwks: join(dir, "keys.json"), claims: { groups: "nodes" } }, systemClock);
const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
const now = Math.floor(Date.now() / 1000);

function jwt(head: object, claims: object, hash: string | null, key: KeyObject): string {
  const signed = `${encode(head)}.${encode(claims)}`;
  const options = key.asymmetricKeyType === "ec" ? { key, dsaEncoding: "ieee-p1363" as const } : { key };
  return `${signed}.${sign(hash, Buffer.from(signed), options).toString("base64url")}`;
}

const good = { groups: ["nodes", "x"], iss: issuer, aud: "interlink", exp: now + 3600 };
const token = (changes: object = {}) =>
  jwt({ alg: "ES256", kid: "1" }, { ...good, ...changes }, "sha256", ec.privateKey);

test("the token of a file lets in, is read anew, and an empty file lets nobody in", async () => {
  const file = join(dir, "token");
  writeFileSync(file, "s3cret\n");
  const check = tokenFileAuth(file);
  await check(request("Bearer s3cret"));
  await check(request("bearer  s3cret "));
  for (const other of [undefined, "Bearer other", "Basic s3cret", "Bearer "]) {
    await expect(check(request(other))).rejects.toMatchObject({ status: 401 });
  }
  writeFileSync(file, "next");
  await check(request("Bearer next"));
  writeFileSync(file, "\n");
  await expect(check(request("Bearer next"))).rejects.toMatchObject({ status: 401 });
});

test.each([
  ["ES256", () => token()],
  ["RS256", () => jwt({ alg: "RS256", kid: "2" }, good, "sha256", rsa.privateKey)],
  ["EdDSA", () => jwt({ alg: "EdDSA", kid: "3" }, good, null, ed.privateKey)],
  ["a list of audiences and a single group", () => token({ aud: ["x", "interlink"], groups: "nodes" })],
  ["a header without the key's name", () => jwt({ alg: "ES256" }, good, "sha256", ec.privateKey)],
])("a token of the issuer lets in: %s", async (_, make) => {
  await auth()(request(`Bearer ${make()}`));
});

const other = generateKeyPairSync("ec", { namedCurve: "prime256v1" });

test.each<[string, () => string, number]>([
  ["of another issuer", () => token({ iss: "https://other" }), 401],
  ["for somebody else", () => token({ aud: "other" }), 401],
  ["that has run out", () => token({ exp: now - 300 }), 401],
  ["that never runs out", () => token({ exp: undefined }), 401],
  ["that is not valid yet", () => token({ nbf: now + 300 }), 401],
  ["without the claim", () => token({ groups: ["x"] }), 403],
  ["that is none", () => "a.b.c", 401],
  ["that nobody signed", () => `${encode({ alg: "none" })}.${encode(good)}.`, 401],
  ["of a shared secret", () => `${encode({ alg: "HS256", kid: "4" })}.${encode(good)}.c2ln`, 401],
  ["of another key", () => jwt({ alg: "ES256", kid: "1" }, good, "sha256", other.privateKey), 401],
  ["of a key of another kind than it says", () => jwt({ alg: "RS256", kid: "1" }, good, "sha256", ec.privateKey), 401],
  ["of a key that is not in the set", () => jwt({ alg: "ES256", kid: "9" }, good, "sha256", other.privateKey), 401],
  ["that was changed", () => token().replace(/\.[^.]+\./, `.${encode({ ...good, sub: "root" })}.`), 401],
  [
    "with extensions that must be understood",
    () => jwt({ alg: "ES256", kid: "1", crit: ["x"] }, good, "sha256", ec.privateKey),
    401,
  ],
])("a token %s does not", async (_, make, status) => {
  await expect(auth()(request(`Bearer ${make()}`))).rejects.toMatchObject({ status });
});

test("a key set that is none is refused at the start, or when it is needed", async () => {
  const config = { issuer, audience: "a", claims: {} };
  expect(() => oidcAuth({ ...config, jwks: join(dir, "none") }, systemClock)).toThrow("OIDC.JWKS");
  writeFileSync(join(dir, "broken"), "{}");
  const check = oidcAuth({ ...config, jwks: join(dir, "broken") }, systemClock);
  await expect(check(request(`Bearer ${token()}`))).rejects.toMatchObject({ status: 503 });
});
