import { toTime } from "../../clock.ts";
import type { BoundObjectReference, TokenRequest } from "../../kube/types.ts";
import { isObject, keyOf } from "../objects.ts";
import { resourceById, serviceAccountsResource } from "../resources.ts";
import type { Api } from "../rest/api.ts";
import { DecodeError, decode } from "../schema/decode.ts";
import { badRequest, conflict, type FieldError, invalid, invalidObject, notFound, pageNotFound } from "../status.ts";
import type { Entry } from "../store/entry.ts";
import { apiAudience, type TokenClaims } from "./authenticator.ts";
import { signJwt } from "./jwt.ts";

const definition = "io.k8s.api.authentication.v1.TokenRequest";
const resource = { group: "authentication.k8s.io", plural: "tokenrequests", kind: "TokenRequest" };

/** What a token may be bound to, by kind. */
const boundResources = new Map([
  ["Pod", "pods"],
  ["Secret", "secrets"],
]);

/** Tokens of this many seconds hold a year in truth: clients of old read their token once (kube-apiserver's safe transition). */
const extended = { asked: 3607, given: 365 * 86_400 };

/**
 * POST .../serviceaccounts/NAME/token: a signed token, as kube-apiserver's TokenREST gives it.
 * @throws {StatusError} 400, 404, 409, 422
 */
export function createToken(api: Api, namespace: string, name: string, body: unknown): TokenRequest {
  const { metadata = {}, spec } = readRequest(api, body);
  const { serviceAccounts } = api;
  if (!serviceAccounts) throw pageNotFound();
  const account = api.store.get(serviceAccountsResource, keyOf(namespace, name));
  if (!account) throw notFound(serviceAccountsResource, name);
  const expirationSeconds = spec.expirationSeconds ?? 3600;
  const audiences = spec.audiences?.length ? spec.audiences : [apiAudience];
  check(metadata, namespace, name, expirationSeconds);
  const ref = spec.boundObjectRef;
  const bound = ref && boundObject(api, namespace, ref);
  const now = Math.floor(api.clock.now() / 1000);
  const prolonged =
    ref?.kind === "Pod" && expirationSeconds === extended.asked && audiences.every((a) => a === apiAudience);
  const { uid } = account.object.metadata;
  const claims: TokenClaims = {
    aud: audiences,
    exp: now + (prolonged ? extended.given : expirationSeconds),
    iat: now,
    iss: apiAudience,
    "kubernetes.io": {
      namespace,
      ...(ref?.kind === "Pod" && bound && { pod: identityOf(bound) }),
      ...(ref?.kind === "Secret" && bound && { secret: identityOf(bound) }),
      serviceaccount: { name, uid },
      ...(prolonged && { warnafter: now + expirationSeconds }),
    },
    nbf: now,
    sub: `system:serviceaccount:${namespace}:${name}`,
  };
  return {
    kind: "TokenRequest",
    apiVersion: "authentication.k8s.io/v1",
    metadata: { name, namespace, uid, creationTimestamp: toTime(now * 1000) },
    spec: { ...spec, audiences, expirationSeconds },
    status: {
      token: signJwt(serviceAccounts.signingKey, claims),
      expirationTimestamp: toTime((now + expirationSeconds) * 1000),
    },
  };
}

/** As it comes off the wire: the API server fills in what is missing. */
type GivenRequest = Pick<TokenRequest, "metadata"> & { spec: Partial<TokenRequest["spec"]> };

function readRequest(api: Api, body: unknown): GivenRequest {
  if (!isObject(body)) throw badRequest("couldn't get version/kind; json parse error: the body is not an object");
  if (body.kind !== undefined && body.kind !== "TokenRequest") {
    throw badRequest(`the kind in the data (${String(body.kind)}) does not match the expected kind (TokenRequest)`);
  }
  try {
    const { metadata, spec } = decode(api.schemas.node(definition), body, () => {}) as Partial<GivenRequest>;
    return { ...(metadata && { metadata }), spec: spec ?? {} };
  } catch (error) {
    if (error instanceof DecodeError) {
      throw badRequest(`TokenRequest in version "v1" cannot be handled as a TokenRequest: ${error.message}`);
    }
    throw error;
  }
}

function check(
  metadata: NonNullable<TokenRequest["metadata"]>,
  namespace: string,
  name: string,
  expirationSeconds: number,
): void {
  const errors: FieldError[] = [];
  if (metadata.name && metadata.name !== name) {
    errors.push(invalid("metadata.name", metadata.name, "must match the service account name if specified"));
  }
  if (metadata.namespace && metadata.namespace !== namespace) {
    const problem = "must match the service account namespace if specified";
    errors.push(invalid("metadata.namespace", metadata.namespace, problem));
  }
  const tooMuch = expirationSeconds > 2 ** 32 ? "larger than 2^32 seconds" : undefined;
  const problem = expirationSeconds < 600 ? "less than 10 minutes" : tooMuch;
  if (problem) {
    errors.push(invalid("spec.expirationSeconds", expirationSeconds, `may not specify a duration ${problem}`));
  }
  if (errors.length > 0) throw invalidObject(resource, "", errors);
}

function boundObject(api: Api, namespace: string, ref: BoundObjectReference): Entry {
  const { kind = "", apiVersion = "", name = "", uid } = ref;
  const id = boundResources.get(kind);
  if (apiVersion !== "v1" || id === undefined) {
    throw badRequest(`cannot bind token to object of type ${apiVersion}, Kind=${kind}`);
  }
  const type = resourceById(id);
  const found = api.store.get(type, keyOf(namespace, name));
  if (!found) throw notFound(type, name);
  const actual = found.object.metadata.uid;
  if (uid && uid !== actual) {
    const why = `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`;
    throw conflict({ group: "", plural: kind, kind }, name, why);
  }
  return found;
}

function identityOf({ object }: Entry): { name: string; uid: string } {
  const { name, uid } = object.metadata;
  return { name, uid };
}
