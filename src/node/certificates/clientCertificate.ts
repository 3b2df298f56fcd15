import { writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../clock.ts";
import type { KubeClient } from "../../kube/client.ts";
import type { ClientConfig } from "../../kube/clientConfig.ts";
import type { Logger } from "../../telemetry/log.ts";
import { nodeKubeconfig } from "../admit/identityFiles.ts";
import { certificateWishes } from "../admit/objects.ts";
import { CertificateManager } from "./manager.ts";
import { type Pair, pairOf, readPair, writePair } from "./pairFile.ts";
import { requestCertificate } from "./request.ts";

/** Where a client certificate that is renewed is kept: certificate and key. */
export function clientPairFile(stateDir: string): string {
  return join(stateDir, "pki", "hostlet-client-current.pem");
}

function clientWish(nodeName: string) {
  const admission = { nodeName, nodeLabels: {}, nodeTaints: [], disableTaint: true, architecture: "" };
  return certificateWishes({ ...admission, ips: [], names: [], expirationSeconds: undefined }, undefined).client;
}

/** The stored one where it is good and for this node. */
export function storedClient(stateDir: string, nodeName: string, now: number): Pair | undefined {
  const stored = readPair(clientPairFile(stateDir));
  const own = stored?.certificate.subject.split("\n").includes(`CN=system:node:${nodeName}`);
  return stored && own && stored.notAfter > now ? stored : undefined;
}

/** The same access, with the certificate from the file where it is renewed: the client reads that again by itself. */
export function fromStore(config: ClientConfig, stateDir: string, { cert, key }: Pair): ClientConfig {
  const { token: _, tokenFile: __, exec: ___, ...cluster } = config;
  const file = clientPairFile(stateDir);
  return { ...cluster, cert, key, certFile: file, keyFile: file };
}

/**
 * Access whose certificate can be renewed: the kubeconfig's own is put into the store, where that has none which is newer.
 * @throws {Error} the kubeconfig's can't be used
 */
export function renewable(config: ClientConfig, stateDir: string, nodeName: string, now: number): ClientConfig {
  const given = pairOf({ cert: config.cert ?? "", key: config.key ?? "" });
  const stored = storedClient(stateDir, nodeName, now);
  if (stored && stored.notBefore >= given.notBefore) return fromStore(config, stateDir, stored);
  writePair(clientPairFile(stateDir), given);
  return fromStore(config, stateDir, given);
}

export interface BootstrapOptions {
  /** With the bootstrap token. */
  client: KubeClient;
  access: ClientConfig;
  nodeName: string;
  stateDir: string;
  /** The node's kubeconfig, which is written. */
  kubeconfig: string;
  say(line: string): void;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

/** TLS bootstrap: has the node's client certificate issued to whoever has a bootstrap token. @throws {Error} denied, failed, waited in vain */
export async function bootstrapClient(options: BootstrapOptions): Promise<ClientConfig> {
  const { client, access, nodeName, stateDir, kubeconfig, say, clock, log, signal } = options;
  const wish = clientWish(nodeName);
  const waiting = (name: string) =>
    say(
      `asked for the node's client certificate; where the cluster does not approve it by itself: kubectl certificate approve ${name}`,
    );
  const pair = await requestCertificate({ client, nodeName, wish, clock, log, signal, waiting });
  writePair(clientPairFile(stateDir), pair);
  const text = nodeKubeconfig({ nodeName, cluster: access, client: pair }, clientPairFile(stateDir));
  writeFileSync(`${kubeconfig}.next`, text, { mode: 0o600 });
  await rename(`${kubeconfig}.next`, kubeconfig);
  return fromStore(access, stateDir, pair);
}

/** Renews the client certificate in its file before it ends. */
export function keepClient(options: {
  client: KubeClient;
  nodeName: string;
  stateDir: string;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}): void {
  const { nodeName, stateDir } = options;
  const manager = new CertificateManager({
    ...options,
    wish: clientWish(nodeName),
    file: clientPairFile(stateDir),
    changed: () => {},
  });
  void manager.run();
}
