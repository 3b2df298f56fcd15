import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { servingPair } from "../integration/support/clusterAccess.ts";
import { samplesOf } from "../integration/support/kubeletApi.ts";
import { TestNode } from "../integration/support/node.ts";
import { Program } from "../integration/support/program.ts";
import { freePorts } from "../integration/support/realControlPlane.ts";
import { Kubectl } from "./support/kubectl.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");
const plane = inject("controlPlane")!;
const minutes = 60_000;

/** The program, or why there is none. */
async function findMetricsServer(): Promise<{ program: string } | { why: string }> {
  if (plane.version.startsWith("1.20.")) return { why: "metrics-server 0.8 is for Kubernetes 1.31 and newer" };
  try {
    const { stdout } = await run(join(root, "scripts/metrics-server/get.sh"));
    return { program: stdout.trim() };
  } catch (error) {
    const { code, stderr } = error as { code?: number; stderr?: string };
    if (code !== 3) throw error;
    return { why: `this machine can't build it: ${stderr?.trim()}` };
  }
}
const metricsServer = await findMetricsServer();
if ("why" in metricsServer) {
  console.log(`!!! SKIPPED: metrics-server, kubectl top and HorizontalPodAutoscaler: ${metricsServer.why}`);
}

interface Manifest {
  kind: string;
  metadata: { name: string; namespace?: string };
  spec?: Record<string, unknown>;
}

let node: TestNode;
let kubectl: Kubectl;
let dir: string;

const file = (name: string, text: string) => {
  const path = join(dir, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const apply = (name: string, items: object[]) =>
  kubectl.output("apply", "-f", file(name, JSON.stringify({ apiVersion: "v1", kind: "List", items })));
/** A kubeconfig with this ServiceAccount's token. */
async function kubeconfigOf(namespace: string, name: string): Promise<string> {
  const token = (await kubectl.output("-n", namespace, "create", "token", name, "--duration=1h")).trim();
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "x",
    clusters: [{ name: "x", cluster: { server: plane.keys.url, "certificate-authority": join(dir, "ca.crt") } }],
    users: [{ name: "x", user: { token } }],
    contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
  });
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-metrics-"));
  node = await TestNode.start();
  kubectl = new Kubectl(node.cluster);
  file("ca.crt", plane.keys.caPem);
});
afterAll(async () => {
  kubectl.stop();
  await node.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf("why" in metricsServer)("metrics-server, with every certificate verified,", () => {
  let server: Program;

  beforeAll(async () => {
    const [port = 0] = await freePorts(1);
    const text = readFileSync(join(root, "deploy/metrics-server.yaml"), "utf8");
    const shipped = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
    const find = (kind: string) => shipped.find((one) => one.kind === kind)!;
    // It runs beside the control plane, not in the cluster: a Service leads to no loopback address, but to a name.
    const service = { ...find("Service"), spec: { type: "ExternalName", externalName: "localhost" } };
    const apiService = find("APIService");
    const caBundle = Buffer.from(plane.keys.caPem).toString("base64");
    const reference = { name: "metrics-server", namespace: "kube-system", port };
    apiService.spec = { ...apiService.spec, caBundle, service: reference };
    const others = shipped.filter(({ kind }) => !["Service", "APIService", "Deployment"].includes(kind));
    await apply("metrics-server.json", [...others, service, apiService]);

    const tls = servingPair(plane.keys, ["metrics-server.kube-system.svc"]);
    const access = file("metrics-server.kubeconfig", await kubeconfigOf("kube-system", "metrics-server"));
    const places: Record<string, string> = {
      "--secure-port": String(port),
      "--tls-cert-file": file("tls.crt", tls.cert),
      "--tls-private-key-file": file("tls.key", tls.key),
      "--kubelet-certificate-authority": join(dir, "ca.crt"),
      "--metric-resolution": "10s",
    };
    const { template } = find("Deployment").spec as { template: { spec: { containers: { args: string[] }[] } } };
    const args = template.spec.containers[0]!.args.map((arg) => {
      const name = arg.split("=", 1)[0]!;
      return name in places ? `${name}=${places[name]}` : arg;
    });
    expect(args.filter((arg) => /insecure/.test(arg))).toEqual([]);
    const kubeconfigs = ["", "authentication-", "authorization-"].map((which) => `--${which}kubeconfig=${access}`);
    const program = "program" in metricsServer ? metricsServer.program : "";
    server = new Program(
      program,
      [...args, ...kubeconfigs, "--bind-address=127.0.0.1", "--kubelet-request-timeout=5s"],
      {
        name: "metrics-server",
        logFile: join(dir, "metrics-server.log"),
        cwd: dir,
      },
    );
    await server.whileRunning(
      async () => (await kubectl.run("get", "--raw", "/apis/metrics.k8s.io/v1beta1")).code === 0,
    );
  });
  afterAll(async () => {
    await kubectl.run("delete", "apiservice", "v1beta1.metrics.k8s.io");
    await kubectl.run("-n", "kube-system", "delete", "service", "metrics-server");
    await server?.stop();
  });

  test("kubectl top shows the node and its pods, idle ones too", { timeout: 3 * minutes }, async () => {
    await node.run("burning", "i=0; while :; do i=$((i+1)); [ $((i % 50000)) -ne 0 ] || sleep 0.05; done");
    await node.run("sleeping", "exec sleep 3600");
    await Promise.all([node.running("burning"), node.running("sleeping")]);
    let pods = "";
    await eventually(
      async () => {
        pods = (await kubectl.run("top", "pods", "--no-headers")).stdout;
        return /^burning +\d{2,4}m +\d+Mi\s*$/m.test(pods) && /^sleeping +\d+m +\d+Mi\s*$/m.test(pods);
      },
      () => `kubectl top pods shows: ${pods}`,
    );
    const [name, cpu, , memory] = (await kubectl.output("top", "nodes", "--no-headers")).trim().split(/\s+/);
    expect([name, cpu, memory]).toEqual(["node-1", expect.stringMatching(/^\d+m$/), expect.stringMatching(/^\d+Mi$/)]);
    await node.deleteNow("burning");
    await node.deleteNow("sleeping");
  });

  test("a HorizontalPodAutoscaler scales script pods up and down on CPU", { timeout: 6 * minutes }, async () => {
    const busy = join(dir, "busy");
    const script = `while :; do if [ -e ${busy} ]; then i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; sleep 0.1; else sleep 1; fi; done`;
    const labels = { app: "worker" };
    await apply("worker.json", [
      {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name: "worker", namespace: "default" },
        spec: {
          replicas: 1,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: {
              terminationGracePeriodSeconds: 0,
              containers: [
                { name: "main", image: "none", command: ["sh", "-c", script], resources: { requests: { cpu: "50m" } } },
              ],
            },
          },
        },
      },
      {
        apiVersion: "autoscaling/v2",
        kind: "HorizontalPodAutoscaler",
        metadata: { name: "worker", namespace: "default" },
        spec: {
          scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "worker" },
          minReplicas: 1,
          maxReplicas: 3,
          metrics: [
            { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 60 } } },
          ],
          behavior: { scaleDown: { stabilizationWindowSeconds: 0 } },
        },
      },
    ]);
    const replicas = () => kubectl.output("get", "deployment", "worker", "-o", "jsonpath={.spec.replicas}");
    const why = () => `the HorizontalPodAutoscaler says: ${JSON.stringify(described)}`;
    let described = "";
    const scaledTo = (count: string) =>
      eventually(async () => {
        described = (await kubectl.run("get", "hpa", "worker", "--no-headers")).stdout;
        return (await replicas()) === count;
      }, why);
    writeFileSync(busy, "");
    await scaledTo("3");
    await kubectl.output("rollout", "status", "deployment/worker", "--timeout=60s");
    rmSync(busy);
    await scaledTo("1");
    await kubectl.output("delete", "hpa/worker", "deployment/worker", "--wait=true");
    await eventually(
      async () => (await kubectl.output("get", "pods", "-l", "app=worker", "-o", "name")) === "",
      () => "pods are left",
    );
  });
});

describe("what the guide says of Prometheus", () => {
  test("every job of its scrape config is answered with metrics, with a ServiceAccount's token and verified certificates", async (context) => {
    if (plane.version.startsWith("1.20.")) context.skip("kubectl 1.20 has no `create token`");
    const guide = readFileSync(join(root, "docs/guides/metrics.md"), "utf8");
    const block = (marker: string) =>
      new RegExp(`\`\`\`yaml\\n# ${marker}\\n([\\s\\S]*?)\`\`\``).exec(guide)?.[1] ?? "";
    await apply(
      "prometheus.json",
      parseAllDocuments(block("rbac.yaml")).map((document) => document.toJS() as object),
    );
    const kubeconfig = JSON.parse(await kubeconfigOf("monitoring", "prometheus")) as {
      users: { user: { token: string } }[];
    };
    const header = file("header", `Authorization: Bearer ${kubeconfig.users[0]!.user.token}\n`);
    const [config] = parseAllDocuments(block("prometheus.yml"), { merge: true });
    interface Job {
      job_name: string;
      scheme: string;
      metrics_path: string;
      tls_config: object;
    }
    const { scrape_configs: jobs } = config!.toJS() as { scrape_configs: Job[] };
    expect(jobs.map(({ metrics_path }) => metrics_path)).toEqual([
      "/metrics",
      "/metrics/resource",
      "/metrics/cadvisor",
      "/metrics/probes",
    ]);
    for (const { scheme, metrics_path, tls_config } of jobs) {
      expect([scheme, Object.keys(tls_config)]).toEqual(["https", ["ca_file"]]);
      const url = `https://127.0.0.1:${node.port}${metrics_path}`;
      const { stdout } = await run("curl", ["-sSf", "--cacert", join(dir, "ca.crt"), "-H", `@${header}`, url]);
      if (metrics_path !== "/metrics/probes") expect(samplesOf(stdout).size).toBeGreaterThan(3);
    }
    const forbidden = run("curl", [
      "-sSf",
      "--cacert",
      join(dir, "ca.crt"),
      "-H",
      `@${header}`,
      `https://127.0.0.1:${node.port}/pods`,
    ]);
    await expect(forbidden).rejects.toThrow(/403/);
    expect(existsSync(header)).toBe(true);
  });
});

/** For what takes as long as scrapes and controllers take. */
async function eventually(holds: () => Promise<boolean>, otherwise: () => string): Promise<void> {
  const deadline = Date.now() + 2.5 * minutes;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(otherwise());
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
