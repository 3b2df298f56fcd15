import { X509Certificate } from "node:crypto";
import { type Clock, sleep } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import { isConflict, isForbidden, isNotFound } from "../../kube/apiError.ts";
import type { KubeClient } from "../../kube/client.ts";

import { paths, resourcePath } from "../../kube/paths.ts";
import { checkKey, parseCertificates } from "../../kube/pem.ts";
import { retry } from "../../kube/retry.ts";
import type { CertificateSigningRequest, Node } from "../../kube/types.ts";
import type { KeyPair } from "../../pki/authority.ts";
import { createRequest } from "../../pki/request.ts";
import { approved, issuanceOf, overdueMessage } from "./issuance.ts";
import {
  type Admission,
  admittedNode,
  type CertificateWish,
  certificateWishes,
  nodeUpdate,
  signingRequest,
} from "./objects.ts";

export interface AdmitOptions {
  /** As an administrator. */
  client: KubeClient;
  admission: Admission;
  clock: Clock;
  signal: AbortSignal;
  /** What was done, a line each. */
  say(line: string): void;
  /** How long a certificate may take. @default 60_000 */
  timeoutMs?: number;
}

export interface Admitted {
  client: KeyPair;
  serving: KeyPair;
}

/** For the message where one of them is missing. */
const neededRights = `hostlet admit needs these rights (a cluster-admin has them): nodes: get, create, patch; certificatesigningrequests.certificates.k8s.io: get, create; certificatesigningrequests/approval: update; signers.certificates.k8s.io kubernetes.io/kube-apiserver-client-kubelet and kubernetes.io/kubelet-serving: approve`;

const pollMs = 250;
const tries = 5;

/**
 * Makes the Node, or brings it up to date, and gets its two certificates. Run again, it renews them.
 * @throws {HostletError} ApiFailed, with what to check; the signal's reason
 */
export async function admit(options: AdmitOptions): Promise<Admitted> {
  const { admission } = options;
  const node = await ensureNode(options);
  const wishes = certificateWishes(admission, node);
  return { client: await obtain(options, wishes.client), serving: await obtain(options, wishes.serving) };
}

/** Both the node's agent and another administrator may be faster. */
async function ensureNode(options: AdmitOptions): Promise<Node> {
  for (let attempt = 1; ; attempt++) {
    try {
      return (await updateNode(options)) ?? (await createNode(options));
    } catch (error) {
      if (!isConflictBehind(error) || attempt >= tries) throw error;
    }
  }
}

/** Undefined where there is none. */
async function updateNode(options: AdmitOptions): Promise<Node | undefined> {
  const { client, admission, signal, say } = options;
  const path = paths.nodes(admission.nodeName);
  const node = await call(options, `reading the Node ${admission.nodeName}`, () =>
    client.get<Node>(path, { signal }).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    }),
  );
  if (!node) return undefined;
  const { patch, changes } = nodeUpdate(node, admission);
  if (!patch) {
    say(`node ${admission.nodeName} exists and is up to date`);
    return node;
  }
  const updated = await call(options, `updating the Node ${admission.nodeName}`, () =>
    client.patch<Node>(path, patch, "merge", { signal }),
  );
  say(`node ${admission.nodeName} exists; set on it: ${changes.join(", ")}`);
  return updated;
}

async function createNode(options: AdmitOptions): Promise<Node> {
  const { client, admission, signal, say } = options;
  const node = await call(options, `creating the Node ${admission.nodeName}`, () =>
    client.create<Node>(paths.nodes(), admittedNode(admission), { signal }),
  );
  say(`node ${admission.nodeName} created`);
  return node;
}

async function obtain(options: AdmitOptions, wish: CertificateWish): Promise<KeyPair> {
  const { client, admission, clock, signal, say, timeoutMs = 60_000 } = options;
  const { csr, key } = createRequest(wish.subject);
  const collection = resourcePath({ group: "certificates.k8s.io", resource: "certificatesigningrequests" });
  let object = await call(options, `requesting the ${wish.purpose} certificate`, () =>
    client.create<CertificateSigningRequest>(collection, signingRequest(admission, wish, csr), { signal }),
  );
  const name = object.metadata?.name ?? "";
  const deadline = clock.now() + timeoutMs;
  for (;;) {
    const issuance = issuanceOf(object);
    if (issuance.state === "issued") {
      const pair = checked(name, issuance.certificate, key);
      say(certificateLine(wish, pair));
      return pair;
    }
    if (issuance.state === "denied" || issuance.state === "failed") {
      throw new HostletError("ApiFailed", `CertificateSigningRequest ${name}: ${issuance.state}: ${issuance.message}`);
    }
    if (clock.now() >= deadline) {
      throw new HostletError("ApiFailed", overdueMessage(name, wish.signerName, issuance.state, timeoutMs / 1000));
    }
    if (issuance.state === "unapproved") await approve(options, collection, object);
    else await sleep(clock, pollMs, signal);
    object = await call(options, `reading CertificateSigningRequest ${name}`, () =>
      client.get(`${collection}/${name}`, { signal }),
    );
  }
}

function certificateLine({ purpose, subject }: CertificateWish, { cert }: KeyPair): string {
  const { commonName, names = [] } = subject;
  const until = new Date(new X509Certificate(cert).validTo).toISOString();
  return `${purpose} certificate for ${names.length > 0 ? names.join(", ") : commonName}, until ${until}`;
}

async function approve(options: AdmitOptions, collection: string, csr: CertificateSigningRequest): Promise<void> {
  const { client, clock, signal } = options;
  const name = csr.metadata?.name ?? "";
  try {
    const body = approved(csr, clock.now());
    await call(options, `approving CertificateSigningRequest ${name}`, () =>
      client.update(`${collection}/${name}/approval`, body, { signal }),
    );
  } catch (error) {
    // kube-controller-manager approves a kubelet's client certificate by itself where it may; read again
    if (!isConflictBehind(error)) throw error;
  }
}

function checked(name: string, cert: string, key: string): KeyPair {
  try {
    checkKey(key, parseCertificates(cert)[0]);
    return { cert, key };
  } catch (cause) {
    const message = `CertificateSigningRequest ${name}: the certificate that was issued can't be used: ${(cause as Error).message}`;
    throw new HostletError("ApiFailed", message, { cause });
  }
}

/** @throws {HostletError} ApiFailed, with the ApiError or NetworkError as its cause */
async function call<T>({ clock, signal }: AdmitOptions, what: string, fn: () => Promise<T>): Promise<T> {
  try {
    return await retry(fn, { clock, signal, tries });
  } catch (cause) {
    if (signal.aborted || cause instanceof HostletError) throw cause;
    const message = `${what}: ${(cause as Error).message}${isForbidden(cause) ? `. ${neededRights}` : ""}`;
    throw new HostletError("ApiFailed", message, { cause });
  }
}

const isConflictBehind = (error: unknown) => error instanceof HostletError && isConflict(error.cause);
