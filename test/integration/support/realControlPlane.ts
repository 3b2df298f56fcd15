import { generateKeyPairSync } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/clock.ts";
import { createClient, type KubeClient } from "../../../src/kube/client.ts";
import { parseKubeconfig } from "../../../src/kube/kubeconfig.ts";
import { paths } from "../../../src/kube/paths.ts";
import type { KeyPair } from "../../../src/pki/authority.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { admin, type ClusterKeys, clientPair, createKeys, kubeconfig, servingPair } from "./clusterAccess.ts";
import { Program } from "./program.ts";

/** Only nodes' requests are written down: they are what tests ask about. */
const auditPolicy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  rules: [{ level: "Metadata", userGroups: ["system:nodes"], omitStages: ["RequestReceived"] }, { level: "None" }],
};

const apiServerNames = [
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "localhost",
  "127.0.0.1",
  "10.0.0.1",
];

export interface RealControlPlaneOptions {
  /** `1.34.2` */
  version: string;
  /** Where scripts/control-plane/get.sh has put the programs. */
  programs: string;
  /** Where the logs stay after the end; what was there is replaced. @default nowhere */
  keepLogs?: string;
  /** How long certificates last that kube-controller-manager signs, such as `60s`. @default its own */
  signingDuration?: string;
}

/**
 * etcd, kube-apiserver, kube-scheduler and kube-controller-manager on loopback, in a temporary directory; configured as kubeadm
 * does where it matters to a node: Node and RBAC authorizers, NodeRestriction, kubelets' certificates verified.
 */
export class RealControlPlane {
  readonly version: string;
  readonly dir: string;
  /** JSON lines, see audit.ts. */
  readonly auditLog: string;
  readonly keys: ClusterKeys;
  readonly #options: RealControlPlaneOptions;
  readonly #others: Program[] = [];
  #apiServer: Program | undefined;
  #apiServerArgs: string[] = [];

  private constructor(options: RealControlPlaneOptions, apiServerPort: number) {
    this.#options = options;
    this.version = options.version;
    this.dir = mkdtempSync(join(tmpdir(), "hostlet-control-plane-"));
    mkdirSync(join(this.dir, "logs"));
    this.auditLog = join(this.dir, "logs", "audit.log");
    this.keys = createKeys(`https://127.0.0.1:${apiServerPort}`);
  }

  /** Resolves when pods can be created. Ended again where it fails. */
  static async start(options: RealControlPlaneOptions): Promise<RealControlPlane> {
    const [apiServerPort = 0, ...etcdPorts] = await freePorts(3);
    const plane = new RealControlPlane(options, apiServerPort);
    try {
      await plane.#start(apiServerPort, etcdPorts);
      return plane;
    } catch (error) {
      await plane.stop();
      throw error;
    }
  }

  /** Ends kube-apiserver alone: connections are refused until it is started again, on the same port. */
  async stopApiServer(): Promise<void> {
    // Asked to end it would wait for its watches, up to a minute.
    await this.#apiServer?.stop("SIGKILL");
    this.#apiServer = undefined;
  }

  /** Resolves when it is ready. */
  async startApiServer(): Promise<void> {
    const apiServer = this.#run("kube-apiserver", this.#apiServerArgs);
    this.#apiServer = apiServer;
    await this.#asAdmin((client) =>
      apiServer.whileRunning(async () => {
        for await (const _ of await client.stream("/readyz", { signal: AbortSignal.timeout(2_000) }));
        return true;
      }),
    );
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    for (const program of this.#others.splice(1).reverse()) await program.stop();
    await this.stopApiServer();
    for (const program of this.#others.splice(0)) await program.stop();
    const { keepLogs } = this.#options;
    if (keepLogs) {
      rmSync(keepLogs, { recursive: true, force: true });
      cpSync(join(this.dir, "logs"), keepLogs, { recursive: true });
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  async #start(apiServerPort: number, [etcdPort, peerPort]: number[]): Promise<void> {
    const { keys } = this;
    const etcdUrl = `https://127.0.0.1:${etcdPort}`;
    const peerUrl = `https://127.0.0.1:${peerPort}`;
    const ca = this.#write("ca", { cert: keys.caPem, key: keys.caKeyPem });
    const serving = this.#write("kube-apiserver", servingPair(keys, apiServerNames));
    const etcd = this.#write("etcd", servingPair(keys, ["localhost", "127.0.0.1"]));
    const etcdClient = this.#write("etcd-client", clientPair(keys, { commonName: "kube-apiserver-etcd-client" }));
    const kubeletClient = this.#write(
      "kubelet-client",
      clientPair(keys, { commonName: "kube-apiserver-kubelet-client", organizations: ["system:masters"] }),
    );
    const frontProxy = createKeys(keys.url);
    const frontProxyClient = this.#write("front-proxy", clientPair(frontProxy, { commonName: "front-proxy-client" }));
    const serviceAccounts = this.#write("service-accounts", serviceAccountKeys());
    const policy = this.#file("audit-policy.json", JSON.stringify(auditPolicy));
    const kubeconfigOf = (commonName: string) =>
      this.#file(`${commonName}.kubeconfig`, kubeconfig(keys, { commonName }));

    this.#others.push(
      this.#run("etcd", [
        `--data-dir=${join(this.dir, "etcd")}`,
        `--listen-client-urls=${etcdUrl}`,
        `--advertise-client-urls=${etcdUrl}`,
        `--listen-peer-urls=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        `--initial-cluster=default=${peerUrl}`,
        "--unsafe-no-fsync",
        "--enable-grpc-gateway=false",
        // Anybody on this host can reach loopback: whoever writes to etcd would run pods as us.
        "--client-cert-auth",
        `--trusted-ca-file=${ca.cert}`,
        `--cert-file=${etcd.cert}`,
        `--key-file=${etcd.key}`,
        "--peer-client-cert-auth",
        `--peer-trusted-ca-file=${ca.cert}`,
        `--peer-cert-file=${etcd.cert}`,
        `--peer-key-file=${etcd.key}`,
      ]),
    );
    this.#apiServerArgs = [
      `--etcd-servers=${etcdUrl}`,
      `--etcd-cafile=${ca.cert}`,
      `--etcd-certfile=${etcdClient.cert}`,
      `--etcd-keyfile=${etcdClient.key}`,
      "--bind-address=127.0.0.1",
      "--advertise-address=127.0.0.1",
      // No Service leads to a loopback address: the kubernetes Service gets no Endpoints.
      "--endpoint-reconciler-type=none",
      `--secure-port=${apiServerPort}`,
      "--service-cluster-ip-range=10.0.0.0/24",
      `--client-ca-file=${ca.cert}`,
      `--tls-cert-file=${serving.cert}`,
      `--tls-private-key-file=${serving.key}`,
      `--cert-dir=${join(this.dir, "certs")}`,
      `--service-account-key-file=${serviceAccounts.cert}`,
      `--service-account-signing-key-file=${serviceAccounts.key}`,
      "--service-account-issuer=https://kubernetes.default.svc",
      `--kubelet-client-certificate=${kubeletClient.cert}`,
      `--kubelet-client-key=${kubeletClient.key}`,
      `--kubelet-certificate-authority=${ca.cert}`,
      // As kubeadm has it; the default asks for the node's name in DNS first.
      "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
      "--authorization-mode=Node,RBAC",
      "--enable-admission-plugins=NodeRestriction",
      "--allow-privileged=true",
      "--enable-bootstrap-token-auth=true",
      // The aggregator, for metrics-server: a CA of its own, or any client could say who it is by a header.
      `--requestheader-client-ca-file=${this.#file("front-proxy-ca.crt", frontProxy.caPem)}`,
      "--requestheader-allowed-names=front-proxy-client",
      "--requestheader-extra-headers-prefix=X-Remote-Extra-",
      "--requestheader-group-headers=X-Remote-Group",
      "--requestheader-username-headers=X-Remote-User",
      `--proxy-client-cert-file=${frontProxyClient.cert}`,
      `--proxy-client-key-file=${frontProxyClient.key}`,
      `--audit-policy-file=${policy}`,
      `--audit-log-path=${this.auditLog}`,
    ];
    await this.startApiServer();

    // 1.20 would also listen without TLS on all addresses.
    const ports = ["--secure-port=0", ...(this.version.startsWith("1.20.") ? ["--port=0"] : [])];
    const common = ["--leader-elect=false", ...ports];
    this.#others.push(
      this.#run("kube-controller-manager", [
        ...common,
        `--kubeconfig=${kubeconfigOf("system:kube-controller-manager")}`,
        `--service-account-private-key-file=${serviceAccounts.key}`,
        `--root-ca-file=${ca.cert}`,
        `--cluster-signing-cert-file=${ca.cert}`,
        `--cluster-signing-key-file=${ca.key}`,
        "--use-service-account-credentials=true",
        ...(this.#options.signingDuration ? [`--cluster-signing-duration=${this.#options.signingDuration}`] : []),
        // A HorizontalPodAutoscaler acts within seconds, not within minutes.
        "--horizontal-pod-autoscaler-sync-period=2s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
      ]),
      this.#run("kube-scheduler", [...common, `--kubeconfig=${kubeconfigOf("system:kube-scheduler")}`]),
    );
    const controllerManager = this.#others[1]!;
    await this.#asAdmin((client) =>
      controllerManager.whileRunning(async () => {
        await client.get(paths.serviceAccounts("default", "default"));
        return true;
      }),
    );
  }

  async #asAdmin(work: (client: KubeClient) => Promise<void>): Promise<void> {
    const access = parseKubeconfig(kubeconfig(this.keys, admin), { file: "of the test" });
    const client = createClient(access, { log: silentLogger, clock: systemClock, userAgent: "hostlet-test", env: {} });
    try {
      await work(client);
    } finally {
      client.close();
    }
  }

  #run(name: string, args: readonly string[]): Program {
    const logFile = join(this.dir, "logs", `${name}.log`);
    return new Program(join(this.#options.programs, name), args, { name, logFile, cwd: this.dir });
  }

  #write(name: string, pair: KeyPair): { cert: string; key: string } {
    return { cert: this.#file(`${name}.crt`, pair.cert), key: this.#file(`${name}.key`, pair.key) };
  }

  #file(name: string, text: string): string {
    const file = join(this.dir, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }
}

/** `cert` is the public key. RSA, as kubeadm makes it. */
function serviceAccountKeys(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    cert: publicKey.export({ type: "spki", format: "pem" }) as string,
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

/** Free at this moment: whoever takes one in between makes the start fail, which says so. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = servers.map(
    (server) =>
      new Promise<number>((resolve) => {
        server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
      }),
  );
  const found = await Promise.all(ports);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return found;
}
