import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../telemetry/log.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { keyOf, type Stored } from "../objects.ts";
import { resourceById } from "../resources.ts";
import type { Api } from "../rest/api.ts";
import { loadSchemas } from "../schema/schema.ts";
import type { StatusError } from "../status.ts";
import { Store } from "../store/store.ts";
import { authenticateToken } from "./authenticator.ts";
import { signJwt, verifyJwt } from "./jwt.ts";
import { openSigningKey, type SigningKey } from "./signingKey.ts";
import { createToken } from "./tokenRequest.ts";

const audience = "https://kubernetes.default.svc.cluster.local";
const schemas = await loadSchemas();

let clock: ManualClock;
let store: Store;
let signingKey: SigningKey;
let api: Api;

beforeEach(() => {
  clock = new ManualClock();
  store = new Store();
  signingKey = openSigningKey(undefined);
  const kubelet = { client: { cert: "", key: "" }, caPem: "" };
  const serviceAccounts = { signingKey, automount: false };
  api = { store, schemas, clock, log: silentLogger, kubelet, authenticateToken: () => undefined, serviceAccounts };
  put("serviceaccounts", "builder", "sa-uid");
  put("pods", "p", "pod-uid");
  put("secrets", "s", "secret-uid");
});

function put(resource: string, name: string, uid: string, metadata: Partial<Stored["metadata"]> = {}): void {
  const creationTimestamp = new Date(clock.now()).toISOString();
  store.put(resourceById(resource), keyOf("ns", name), {
    apiVersion: "v1",
    kind: "X",
    metadata: { name, namespace: "ns", uid, resourceVersion: "", creationTimestamp, ...metadata },
  });
}

const podRef = { kind: "Pod", apiVersion: "v1", name: "p", uid: "pod-uid" };
const request = (spec: object, more: object = {}) => createToken(api, "ns", "builder", { spec, ...more });
const tokenOf = (spec: object) => request(spec).status?.token ?? "";
const claimsOf = (token: string) => verifyJwt(signingKey, token);
const whose = (token: string) => authenticateToken({ store, clock, signingKey }, token)?.username;
const refusal = (spec: object, more?: object) => {
  try {
    request(spec, more);
  } catch (error) {
    return (error as StatusError).status;
  }
  return undefined;
};

describe("a token request", () => {
  it("is answered with a token that says what kube-apiserver's say", () => {
    const { status, spec, metadata } = request({ audiences: ["a"], expirationSeconds: 600, boundObjectRef: podRef });
    const now = clock.now() / 1000;
    expect(claimsOf(status?.token ?? "")).toEqual({
      aud: ["a"],
      exp: now + 600,
      iat: now,
      iss: audience,
      "kubernetes.io": {
        namespace: "ns",
        pod: { name: "p", uid: "pod-uid" },
        serviceaccount: { name: "builder", uid: "sa-uid" },
      },
      nbf: now,
      sub: "system:serviceaccount:ns:builder",
    });
    expect(status?.expirationTimestamp).toBe("2026-01-01T00:10:00Z");
    expect(spec).toMatchObject({ audiences: ["a"], expirationSeconds: 600 });
    expect(metadata).toMatchObject({ name: "builder", namespace: "ns", uid: "sa-uid" });
  });

  it("without more gives an hour's token for the API server", () => {
    const claims = claimsOf(tokenOf({ audiences: [] }));
    expect(claims).toMatchObject({ aud: [audience], exp: clock.now() / 1000 + 3600 });
  });

  it("of 3607 seconds gives a pod's token that holds a year, and says an hour", () => {
    const { status } = request({ expirationSeconds: 3607, boundObjectRef: podRef });
    const now = clock.now() / 1000;
    expect(status?.expirationTimestamp).toBe("2026-01-01T01:00:07Z");
    expect(claimsOf(status?.token ?? "")).toMatchObject({
      exp: now + 365 * 86_400,
      "kubernetes.io": { warnafter: now + 3607 },
    });
    expect(claimsOf(tokenOf({ expirationSeconds: 3607 }))).toMatchObject({ exp: now + 3607 });
  });

  it.each<[string, object, object, number, string]>([
    [
      "of less than ten minutes",
      { expirationSeconds: 599 },
      {},
      422,
      "may not specify a duration less than 10 minutes",
    ],
    [
      "of more than 2^32 s",
      { expirationSeconds: 2 ** 32 + 1 },
      {},
      422,
      "may not specify a duration larger than 2^32 s",
    ],
    ["under another name", {}, { metadata: { name: "x" } }, 422, "must match the service account name if specified"],
    ["of another namespace", {}, { metadata: { namespace: "x" } }, 422, "must match the service account namespace"],
    ["of another kind", {}, { kind: "Pod" }, 400, "does not match the expected kind (TokenRequest)"],
    ["with a number for a list", { audiences: 1 }, {}, 400, "cannot be handled as a TokenRequest"],
    ["bound to a pod that isn't there", { boundObjectRef: { ...podRef, name: "q" } }, {}, 404, 'pods "q" not found'],
    [
      "bound to an earlier pod",
      { boundObjectRef: { ...podRef, uid: "old" } },
      {},
      409,
      "does not match the UID in record",
    ],
    [
      "bound to what binds none",
      { boundObjectRef: { ...podRef, kind: "constructor" } },
      {},
      400,
      "cannot bind token to object",
    ],
  ])("%s is refused", (_what, spec, more, code, message) => {
    expect(refusal(spec, more)).toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it("for a service account that does not exist is refused", () => {
    expect(() => createToken(api, "ns", "nobody", { spec: {} })).toThrow('serviceaccounts "nobody" not found');
  });
});

describe("a token is its service account's", () => {
  it("with the groups of service accounts", () => {
    expect(authenticateToken({ store, clock, signingKey }, tokenOf({}))).toEqual({
      username: "system:serviceaccount:ns:builder",
      groups: ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"],
    });
  });

  it("until a minute after its end, as clocks differ", () => {
    const token = tokenOf({ expirationSeconds: 600 });
    clock.advance(660_000);
    expect(whose(token)).toBeDefined();
    clock.advance(1000);
    expect(whose(token)).toBeUndefined();
  });

  it("only for whom it is meant", () => {
    expect(whose(tokenOf({ audiences: ["vault"] }))).toBeUndefined();
    expect(whose(tokenOf({ audiences: ["vault", audience] }))).toBeDefined();
  });

  it.each([
    ["pods", "p", podRef],
    ["secrets", "s", { kind: "Secret", apiVersion: "v1", name: "s" }],
    ["serviceaccounts", "builder", undefined],
  ])(
    "until its object of %s is gone, is another of its name, or should have been gone a minute ago",
    (id, name, ref) => {
      const resource = resourceById(id);
      const { uid } = store.get(resource, keyOf("ns", name))!.object.metadata;
      const token = tokenOf(ref ? { boundObjectRef: ref } : {});
      expect(whose(token)).toBeDefined();
      put(id, name, uid, { deletionTimestamp: new Date(clock.now()).toISOString() });
      expect(whose(token)).toBeDefined();
      clock.advance(61_000);
      expect(whose(token)).toBeUndefined();
      put(id, name, "another");
      expect(whose(token)).toBeUndefined();
      store.remove(resource, keyOf("ns", name));
      expect(whose(token)).toBeUndefined();
    },
  );

  it("only if this cluster signed it, by its own algorithm", () => {
    const claims = claimsOf(tokenOf({}))!;
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
    expect(whose(signJwt(signingKey, claims))).toBeDefined();
    expect(whose(signJwt(openSigningKey(undefined), claims))).toBeUndefined();
    expect(whose(`${encode({ alg: "none" })}.${encode(claims)}.`)).toBeUndefined();
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const signed = `${encode({ alg: "RS256", kid: signingKey.id })}.${encode(claims)}`;
    expect(whose(`${signed}.${sign("sha256", Buffer.from(signed), rsa).toString("base64url")}`)).toBeUndefined();
  });

  it("in no other form: whatever is changed in it, nobody has it", () => {
    const token = tokenOf({});
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.string({ maxLength: 3 }), fc.nat(2), (at, inserted, removed) => {
        const changed = token.slice(0, at) + inserted + token.slice(at + removed);
        fc.pre(changed !== token);
        const bytes = (text: string) => text.split(".").map((part) => Buffer.from(part, "base64url").toString("hex"));
        // base64url can be written in more than one way
        fc.pre(JSON.stringify(bytes(changed)) !== JSON.stringify(bytes(token)));
        expect(whose(changed)).toBeUndefined();
      }),
    );
  });

  it("and any other text is nobody's", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.base64String(), { maxLength: 4 }).map((p) => p.join(".")),
        ),
        (text) => {
          expect(whose(text)).toBeUndefined();
        },
      ),
    );
  });
});

it("the key outlives a restart, for its owner's eyes alone", () => {
  const dir = mkdtempSync(join(tmpdir(), "hostlet-key-"));
  try {
    const token = signJwt(openSigningKey(dir), { iss: "x" });
    expect(verifyJwt(openSigningKey(dir), token)).toEqual({ iss: "x" });
    expect(statSync(join(dir, "service-account.key")).mode & 0o777).toBe(0o600);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
