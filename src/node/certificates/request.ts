import type { Clock } from "../../clock.ts";
import { unlessAborted } from "../../kube/abort.ts";
import type { KubeClient } from "../../kube/client.ts";
import { resourcePath } from "../../kube/paths.ts";
import { reflect } from "../../kube/reflector.ts";
import { retry } from "../../kube/retry.ts";
import type { CertificateSigningRequest } from "../../kube/types.ts";
import { createRequest } from "../../pki/request.ts";
import type { Logger } from "../../telemetry/log.ts";
import { type Issuance, issuanceOf } from "../admit/issuance.ts";
import { type CertificateWish, signingRequest } from "../admit/objects.ts";
import { serverAway } from "../serverAway.ts";
import { type Pair, pairOf } from "./pairFile.ts";

export interface RequestOptions {
  client: KubeClient;
  nodeName: string;
  wish: CertificateWish;
  expirationSeconds?: number | undefined;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
  /** The request was made, and somebody has to approve it perhaps. */
  waiting(name: string): void;
}

/** As long as a kubelet waits for an approval before it asks anew, with a new key. */
export const patienceMs = 15 * 60_000;

/**
 * Asks for a certificate, and waits until it is issued. The key is made here and stays in memory until then.
 * @throws {Error} denied, failed, or nobody approved it for a quarter of an hour; the signal's reason
 */
export async function requestCertificate(options: RequestOptions): Promise<Pair> {
  const { client, nodeName, wish, expirationSeconds, clock, log, waiting } = options;
  const collection = resourcePath({ group: "certificates.k8s.io", resource: "certificatesigningrequests" });
  const { csr, key } = createRequest(wish.subject);
  const body = signingRequest({ nodeName, expirationSeconds }, wish, csr);
  const created = await retry(
    () => client.create<CertificateSigningRequest>(collection, body, { signal: options.signal }),
    {
      clock,
      signal: options.signal,
      ...serverAway,
      onRetry: (error, delay) =>
        log.warn({ err: error, delay }, `the ${wish.purpose} certificate can't be asked for yet`),
    },
  );
  const name = created.metadata?.name ?? "";
  waiting(name);
  const abort = new AbortController();
  const signal = AbortSignal.any([options.signal, abort.signal]);
  const cancel = clock.after(patienceMs, () => {
    abort.abort(new Error(`nobody approved CertificateSigningRequest ${name} for ${patienceMs / 60_000} minutes`));
  });
  try {
    const certificate = await unlessAborted(issued(options, collection, name, signal), signal);
    return pairOf({ cert: certificate, key });
  } finally {
    cancel();
    abort.abort();
  }
}

/** The certificate, as soon as the API server tells of it. */
function issued(
  { client, clock, log }: RequestOptions,
  path: string,
  name: string,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const look = (csr: CertificateSigningRequest | undefined) => {
      const issuance: Issuance = csr ? issuanceOf(csr) : { state: "failed", message: "it was deleted" };
      if (issuance.state === "issued") resolve(issuance.certificate);
      if (issuance.state === "denied" || issuance.state === "failed") {
        reject(new Error(`CertificateSigningRequest ${name}: ${issuance.state}: ${issuance.message}`));
      }
    };
    reflect<CertificateSigningRequest>({
      client,
      path,
      query: { fieldSelector: `metadata.name=${name}` },
      onSync: ([csr]) => look(csr),
      onEvent: (type, csr) => look(type === "DELETED" ? undefined : csr),
      backoff: serverAway,
      log,
      clock,
      signal,
    }).catch(reject);
  });
}
