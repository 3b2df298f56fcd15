import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../clock.ts";
import type { KubeClient } from "../../kube/client.ts";
import { checkKey, checkTime, parseCertificates } from "../../kube/pem.ts";
import type { ServingCertificates } from "../../server/kubeletServer.ts";
import type { Logger } from "../../telemetry/log.ts";
import { certificateWishes } from "../admit/objects.ts";
import { watchFiles } from "./fileWatch.ts";
import { CertificateManager } from "./manager.ts";

/** What the kubelet API shows its clients, and checks theirs with; and how that is renewed. */
export interface Serving extends ServingCertificates {
  /** Where they came from: read again when they change. */
  files?: { cert?: string; key?: string; clientCa?: string };
  /** Have the cluster issue the certificate (a CertificateSigningRequest, which an administrator approves), and renew it. */
  request?: boolean;
}

export interface KeepServingOptions {
  serving: Serving;
  use(certificates: ServingCertificates): void;
  client: KubeClient;
  nodeName: string;
  /** By which the API server reaches the node. */
  ip: string;
  stateDir: string;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

/** Renews what the kubelet API uses, until the signal aborts. */
export function keepServing(options: KeepServingOptions): void {
  const { serving, use, client, nodeName, ip, stateDir, clock, log, signal } = options;
  let { cert, key, clientCa } = serving;
  const now = (): ServingCertificates => ({ clientCa, ...(cert !== undefined && key !== undefined && { cert, key }) });
  const files = Object.values(serving.files ?? {});
  if (files.length > 0) {
    const changed = async () => {
      try {
        const next = await readAgain(serving.files ?? {}, now(), clock.now());
        use(next);
        ({ cert, key, clientCa } = next);
        log.info({ files }, "the kubelet API's certificates have changed, and are in use");
      } catch (error) {
        log.warn(
          { err: error, files },
          "the kubelet API's certificates have changed, but can't be used: those of before stay",
        );
        throw error;
      }
    };
    watchFiles(files, { clock, signal, changed });
  }
  if (!serving.request) return;
  const admission = { nodeName, nodeLabels: {}, nodeTaints: [], disableTaint: true, architecture: "" };
  const wish = certificateWishes(
    { ...admission, ips: [ip], names: [], expirationSeconds: undefined },
    undefined,
  ).serving;
  const manager = new CertificateManager({
    client,
    nodeName,
    wish,
    file: join(stateDir, "pki", "hostlet-serving-current.pem"),
    changed(pair) {
      ({ cert, key } = pair);
      use(now());
    },
    clock,
    log,
    signal,
  });
  void manager.run();
}

/** @throws {Error} they don't belong together, or are over: half of a change, perhaps */
async function readAgain(
  files: NonNullable<Serving["files"]>,
  before: ServingCertificates,
  now: number,
): Promise<ServingCertificates> {
  const read = (file: string | undefined) => (file === undefined ? undefined : readFile(file, "utf8"));
  const [cert = before.cert, key = before.key, clientCa = before.clientCa] = await Promise.all([
    read(files.cert),
    read(files.key),
    read(files.clientCa),
  ]);
  parseCertificates(clientCa);
  if (cert === undefined || key === undefined) return { clientCa };
  const [own] = parseCertificates(cert);
  checkKey(key, own);
  checkTime(own, now);
  return { cert, key, clientCa };
}
