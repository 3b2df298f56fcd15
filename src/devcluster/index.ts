import { type Clock, systemClock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import type { KeyPair } from "../pki/authority.ts";
import { type Logger, silentLogger } from "../telemetry/log.ts";
import { adminUser, issueToken, nodeUser, verifyToken } from "./auth.ts";
import { expireEvents } from "./events.ts";
import { FaultInjector, type Faults } from "./faults.ts";
import { Handler } from "./http/handler.ts";
import { listen } from "./http/server.ts";
import { passUpgrade } from "./http/upgrade.ts";
import { backdate, leafLifetime, openDirectory, openIdentity } from "./identity.ts";
import { kubeconfigText } from "./kubeconfig.ts";
import { fillNamespaces } from "./namespaceContents.ts";
import { keyOf } from "./objects.ts";
import { namespacesResource, resourceById } from "./resources.ts";
import type { Api } from "./rest/api.ts";
import { create } from "./rest/create.ts";
import { Scheduler } from "./scheduler/scheduler.ts";
import { loadSchemas } from "./schema/schema.ts";
import { Journal } from "./store/journal.ts";
import { Store } from "./store/store.ts";
import { authenticateToken } from "./tokens/authenticator.ts";
import { openSigningKey } from "./tokens/signingKey.ts";

export type { KeyPair } from "../pki/authority.ts";
export type { Fault, FaultRequest, Faults } from "./faults.ts";

export interface DevClusterOptions {
  /** A loopback address. @default "127.0.0.1" */
  host?: string;
  /** 0 takes a free port. @default 0 */
  port?: number;
  /**
   * A directory of mode 0700 for the CA, the tokens' secret and the journal; made where it is missing. Absent: nothing
   * outlives the process.
   */
  dir?: string;
  /**
   * Whether pods get a volume with their service account's token without asking, as on a real cluster.
   * @default false
   */
  automountTokens?: boolean;
  /** @default systemClock */
  clock?: Clock;
  /** @default silent */
  log?: Logger;
}

export interface DevClusterStats {
  requests: number;
  /** Requests that are being answered now, watches among them. */
  open: number;
  revision: number;
}

/** The embedded control plane: an API server and a scheduler in this process, on loopback. For trying out and for tests. */
export interface DevCluster {
  /** `https://127.0.0.1:PORT` */
  url: string;
  /** The CA of the API server and of every certificate issued here. */
  caPem: string;
  /** What the API server's client certificates towards a kubelet API are checked with. */
  clientCaPem: string;
  /** A complete kubeconfig (YAML) with CA and token: a secret. */
  kubeconfig(user: "admin" | { node: string }): string;
  /** A serving certificate for a kubelet API of this process. @param names DNS names and IP addresses */
  issueServing(names: string[]): KeyPair;
  faults: Faults;
  stats(): DevClusterStats;
  /** Ends every connection and forgets what isn't journaled. Idempotent. */
  stop(): Promise<void>;
}

/** @throws {HostletError} ListenFailed, ConfigInvalid (an address that isn't loopback), PathNotOurs (`dir`) */
export async function startDevCluster(options: DevClusterOptions = {}): Promise<DevCluster> {
  const { host = "127.0.0.1", port = 0, dir, clock = systemClock, log = silentLogger } = options;
  const { automountTokens = false } = options;
  if (!/^(127(\.\d{1,3}){3}|::1|localhost)$/.test(host)) {
    throw new HostletError(
      "ConfigInvalid",
      `the embedded control plane listens on loopback only, not on ${host}: use 127.0.0.1`,
    );
  }
  if (dir !== undefined) openDirectory(dir);
  const { authority, tokenSecret } = openIdentity(dir, clock);
  const leaf = (commonName: string, use: "server" | "client", names: string[], organizations: string[] = []) => {
    const now = clock.now();
    const lifetime = { notBefore: now - backdate, notAfter: now + leafLifetime };
    return authority.issue({ commonName, organizations, names, use, ...lifetime });
  };
  const opened = dir === undefined ? undefined : Journal.open(dir);
  const store = new Store(opened?.recovered.revision, opened?.journal);
  for (const { resource, entry } of opened?.recovered.objects ?? []) store.restore(resourceById(resource), entry);
  const kubelet = {
    client: leaf("kube-apiserver-kubelet-client", "client", [], ["system:masters"]),
    caPem: authority.caPem,
  };
  const signingKey = openSigningKey(dir);
  const serviceAccounts = { signingKey, automount: automountTokens };
  const authenticate = (token: string) =>
    verifyToken(tokenSecret, token) ?? authenticateToken({ store, clock, signingKey }, token);
  const schemas = await loadSchemas();
  const api: Api = { store, schemas, clock, log, kubelet, authenticateToken: authenticate, serviceAccounts };
  createNamespaces(api);
  fillNamespaces(api);
  const faults = new FaultInjector(() => store.compact());
  const handler = new Handler(api, faults);
  const serving = leaf("kube-apiserver", "server", [
    "localhost",
    "kubernetes.default.svc",
    "127.0.0.1",
    "::1",
    ...(host === "localhost" ? [] : [host]),
  ]);
  const scheduler = new Scheduler(api);
  const server = await listen({
    host,
    port,
    ...serving,
    caPem: authority.caPem,
    authenticateToken: authenticate,
    log,
    handle: (exchange, user) => handler.handle(exchange, user),
    upgrade: (request, client, head, user) => passUpgrade(api, request, client, head, user),
  }).catch(async (error: unknown) => {
    await opened?.journal.close();
    throw error;
  });
  scheduler.start();
  const stopExpiry = expireEvents(api);
  const url = `https://${host.includes(":") ? `[${host}]` : host}:${server.port}`;
  log.info({ url }, "the embedded control plane is listening");
  return {
    url,
    caPem: authority.caPem,
    clientCaPem: authority.caPem,
    kubeconfig(who) {
      const user = who === "admin" ? adminUser : nodeUser(who.node);
      return kubeconfigText(url, authority.caPem, user.username, issueToken(tokenSecret, user));
    },
    issueServing: (names) => leaf(names[0] ?? "kubelet", "server", names),
    faults,
    stats: () => ({ ...handler.stats(), revision: store.revision }),
    async stop() {
      scheduler.stop();
      stopExpiry();
      await server.stop();
      await opened?.journal.close();
    },
  };
}

/** What every cluster has from the start. */
function createNamespaces(api: Api): void {
  const options = { dryRun: false, fieldValidation: "Ignore", warn: () => {} } as const;
  for (const name of ["default", "kube-system", "kube-public", "kube-node-lease"]) {
    if (!api.store.get(namespacesResource, keyOf(undefined, name))) {
      create(api, namespacesResource, undefined, { metadata: { name } }, options);
    }
  }
}
