import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";
import { paths } from "../../src/kube/paths.ts";
import type {
  Container,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  PodSpec,
  Secret,
  Service,
  Volume,
} from "../../src/kube/types.ts";
import { parseManifests } from "../../src/manifest/read.ts";
import { TestNode, until } from "./support/node.ts";

const gpu = "nvidia.com/gpu";
let node: TestNode;
/** Of static pods. */
let manifests: string;

beforeAll(async () => {
  manifests = mkdtempSync(join(tmpdir(), "hostlet-manifests-"));
  node = await TestNode.start({ podManifestPath: manifests, extendedResourceDevices: { [gpu]: ["4", "6"] } });
  // Where a node of a site stands: others may pass, and find nothing.
  for (const dir of [node.dir, join(node.dir, ".hostlet")]) chmodSync(dir, 0o711);
});

afterAll(async () => {
  await node.stop();
  rmSync(manifests, { recursive: true });
});

const root = process.getuid?.() === 0;

/** What only root can give. */
function needsRoot(context: TestContext): void {
  if (root) return;
  const why = "the tests run as an ordinary user, who can't give a pod another one";
  console.log(`SKIPPED: ${context.task.name}: ${why}`);
  context.skip(why);
}

async function output(name: string, script: string, spec: Partial<PodSpec> = {}): Promise<string> {
  await node.run(name, script, spec);
  const pod = await node.ended(name);
  const said = await node.logs(name, { container: "main" });
  expect(pod.status?.phase, said + JSON.stringify(pod.status)).toBe("Succeeded");
  return said;
}

const main = (part: Partial<Container>): Container[] => [{ name: "main", ...part }];

describe("devices", () => {
  const say = 'echo "[$CUDA_VISIBLE_DEVICES] [$NVIDIA_VISIBLE_DEVICES]"';
  const oneOf = main({ resources: { limits: { [gpu]: "1" }, requests: { [gpu]: "1" } } });

  test("two pods of one GPU each have different ones, also under the next agent; a third is refused until one ends", async () => {
    const { status } = await node.client.get<Node>(paths.nodes(node.config.nodeName));
    expect(status?.capacity?.[gpu]).toBe("2");
    await node.run("gpu-a", `${say}; exec sleep 1000`, { containers: oneOf });
    await node.running("gpu-a");
    await node.stopAgent();
    await node.startAgent();
    await node.run("gpu-b", `${say}; exec sleep 1000`, { containers: oneOf });
    await node.running("gpu-b");
    const said = (name: string) =>
      until(async () => (await node.logs(name)).endsWith("]\n"), `${name} said nothing`).then(() => node.logs(name));
    expect(await said("gpu-a")).toBe("[4] [4]\n");
    expect(await said("gpu-b")).toBe("[6] [6]\n");

    // Bound by its author, not by the scheduler, which would have it wait.
    const { nodeName } = node.config;
    await node.run("gpu-c", say, { containers: oneOf, nodeName });
    expect((await node.ended("gpu-c")).status).toMatchObject({ phase: "Failed", reason: `OutOf${gpu}` });

    await node.deleteNow("gpu-a");
    await node.gone("gpu-a");
    await until(() => !existsSync(node.path("gpu-a")), "gpu-a is left");
    expect(await output("gpu-d", say, { containers: oneOf })).toBe("[4] [4]\n");
    await node.deleteNow("gpu-b");
  });

  test("a container that asks for none is told that it has none", async () => {
    const script = "env | grep -E '^(CUDA|NVIDIA|ROCR|HIP)_VISIBLE_DEVICES=' | sort";
    expect(await output("gpu-none", script)).toBe("CUDA_VISIBLE_DEVICES=\nNVIDIA_VISIBLE_DEVICES=\n");
  });
});

test("an in-place resize is refused by the API server, which is told of no resources in the status", async (context) => {
  const { version } = node.cluster;
  if (version === "embedded" || version.startsWith("1.20")) {
    const why = `the control plane (${version}) has no resize`;
    console.log(`SKIPPED: ${context.task.name}: ${why}`);
    context.skip(why);
  }
  await node.run("resized", "exec sleep 1000", { containers: main({ resources: { requests: { cpu: "10m" } } }) });
  await node.running("resized");
  const spec = { containers: [{ name: "main", resources: { requests: { cpu: "20m" } } }] };
  await expect(node.client.patch(`${paths.pods("default", "resized")}/resize`, { spec }, "strategic")).rejects.toThrow(
    "Pod running on node without support for resize",
  );
  await node.deleteNow("resized");
});

describe("security context", () => {
  test("runAsUser, runAsGroup, supplementalGroups and fsGroup are the ids that the process has", async (context) => {
    needsRoot(context);
    const said = await output("ids", "id -u; id -g; id -G", {
      securityContext: { runAsUser: 12345, runAsGroup: 23456, supplementalGroups: [34567], fsGroup: 45678 },
    });
    const [uid, gid, groups = ""] = said.split("\n");
    expect([uid, gid]).toEqual(["12345", "23456"]);
    expect(groups.split(" ")).toEqual(expect.arrayContaining(["23456", "34567", "45678"]));
    expect(groups.split(" ")).not.toContain("0");
  });

  test("a container's own securityContext counts before its pod's", async (context) => {
    needsRoot(context);
    const containers = main({ securityContext: { runAsUser: 12346 } });
    expect(await output("own-user", "id -u", { securityContext: { runAsUser: 12345 }, containers })).toBe("12346\n");
  });

  test("under supplementalGroupsPolicy Strict the user's groups of the host are not given", async (context) => {
    needsRoot(context);
    const securityContext = { runAsUser: 1, runAsGroup: 1, supplementalGroups: [34567] };
    const strict = { ...securityContext, supplementalGroupsPolicy: "Strict" };
    expect(await output("strict", "id -G", { securityContext: strict })).toMatch(/^1 34567 \d{10}\n$/);
  });

  test("another user has its own HOME, and can write to its pipes, its directory and emptyDirs", async (context) => {
    needsRoot(context);
    const spec: Partial<PodSpec> = {
      securityContext: { runAsUser: 12345, runAsGroup: 23456 },
      volumes: [{ name: "scratch", emptyDir: {} }],
      containers: main({ volumeMounts: [{ name: "scratch", mountPath: "scratch" }] }),
    };
    const script =
      "echo err > /dev/stderr; touch here scratch/there; stat -c %u here scratch/there; " +
      'echo out > /dev/stdout; [ "$HOME" = "$HOSTLET_CONTAINER_DIR" ] && cd "$HOSTLET_POD_DIR" && echo reached';
    // Two pipes: which of them is read first is open.
    const lines = (await output("writes", script, spec)).trim().split("\n");
    expect(lines.sort()).toEqual(["12345", "12345", "err", "out", "reached"]);
  });

  test("a secret is readable by those who mount it, not by another user of the pod nor of the host", async (context) => {
    needsRoot(context);
    await node.client.create<Secret>(paths.secrets("default"), {
      metadata: { name: "guarded" },
      data: { word: Buffer.from("sesame").toString("base64") },
    });
    const path = node.path("guarded", "secrets", "s", "word");
    const spec: Partial<PodSpec> = {
      volumes: [{ name: "s", secret: { secretName: "guarded", defaultMode: 0o400 } }],
      containers: [
        {
          name: "main",
          volumeMounts: [{ name: "s", mountPath: "s" }],
          securityContext: { runAsUser: 12345, runAsGroup: 12345 },
        },
        {
          name: "other",
          image: "none",
          command: ["sh", "-c", `cat ${path} && exit 1; id -G`],
          securityContext: { runAsUser: 12346, runAsGroup: 12346 },
        },
      ],
    };
    expect(await output("guarded", "cat s/word", spec)).toBe("sesame");
    expect(await node.logs("guarded", { container: "other" })).toContain("Permission denied");
    expect(statSync(node.path("guarded")).mode & 0o777).toBe(0o710);
  });

  test("fsGroup owns what the volumes hold, and may write to emptyDirs", async (context) => {
    needsRoot(context);
    await node.configMap("fs-group", { word: "here" });
    const spec: Partial<PodSpec> = {
      securityContext: { runAsUser: 12345, runAsGroup: 12345, fsGroup: 23456 },
      volumes: [
        { name: "scratch", emptyDir: {} },
        { name: "config", configMap: { name: "fs-group", defaultMode: 0o400 } },
      ],
      containers: main({
        volumeMounts: [
          { name: "scratch", mountPath: "scratch" },
          { name: "config", mountPath: "config" },
        ],
      }),
    };
    const script = "touch scratch/new; stat -c %g scratch/new; stat -Lc '%g %a' config/word; cat config/word";
    expect(await output("fs-group", script, spec)).toBe("23456\n23456 440\nhere");
  });

  test("capabilities are dropped and added, for root and for another user", async (context) => {
    needsRoot(context);
    const securityContext = { capabilities: { drop: ["ALL"], add: ["NET_BIND_SERVICE"] } };
    const script = "grep -E '^Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | cut -f2 | tr '\\n' ' '";
    const bit = "0000000000000400";
    const none = "0000000000000000";
    expect(await output("caps-root", script, { containers: main({ securityContext }) })).toBe(
      `${bit} ${bit} ${bit} ${none} `,
    );
    const other = main({ securityContext: { ...securityContext, runAsUser: 12345 } });
    expect(await output("caps-user", script, { containers: other })).toBe(`${bit} ${bit} ${bit} ${bit} `);
  });

  test("allowPrivilegeEscalation false is no_new_privs, for whomever", async () => {
    const containers = main({ securityContext: { allowPrivilegeEscalation: false } });
    expect(await output("nnp", "grep NoNewPrivs /proc/self/status", { containers })).toMatch(/1\n$/);
    expect(await output("no-nnp", "grep NoNewPrivs /proc/self/status")).toMatch(/0\n$/);
  });

  test("privileged is what an agent of root gives, and what any other refuses", async () => {
    await node.run("privileged", "id -u", { containers: main({ securityContext: { privileged: true } }) });
    const pod = await node.ended("privileged");
    if (root) expect(pod.status?.phase).toBe("Succeeded");
    else expect(pod.status).toMatchObject({ phase: "Failed", reason: "UnsupportedSecurityContext" });
  });

  test("runAsNonRoot with root waits with CreateContainerConfigError, in the kubelet's words", async (context) => {
    needsRoot(context);
    const spec = { securityContext: { runAsNonRoot: true } };
    await node.run("non-root", "id", spec);
    const pod = await node.pod(
      "non-root",
      (p) => p.status?.containerStatuses?.[0]?.state?.waiting?.message !== undefined,
    );
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting).toMatchObject({
      reason: "CreateContainerConfigError",
      message: expect.stringContaining("container has runAsNonRoot"),
    });
    expect(await output("non-root-ok", "id -u", { securityContext: { runAsNonRoot: true, runAsUser: 12345 } })).toBe(
      "12345\n",
    );
  });

  test("profiles: RuntimeDefault runs and is said to have no effect, Localhost is refused", async () => {
    await output("seccomp-default", "true", { securityContext: { seccompProfile: { type: "RuntimeDefault" } } });
    expect((await node.event("seccomp-default", "FieldsIgnored")).message).toContain("seccompProfile");
    const localhost = { type: "Localhost", localhostProfile: "p.json" };
    await node.run("seccomp-local", "true", { securityContext: { seccompProfile: localhost } });
    const pod = await node.ended("seccomp-local");
    expect(pod.status).toMatchObject({ phase: "Failed", reason: "UnsupportedSecurityContext" });
    expect(pod.status?.message).toContain("seccompProfile Localhost");
  });

  test("examples/security-context.yaml, as it stands", async (context) => {
    needsRoot(context);
    const file = fileURLToPath(new URL("../../examples/security-context.yaml", import.meta.url));
    const [manifest] = parseManifests(readFileSync(file, "utf8"), file);
    await node.client.create(paths.pods("default"), manifest!.object);
    expect((await node.ended("security-context")).status?.phase).toBe("Succeeded");
    const said = await node.logs("security-context");
    expect(said).toMatch(/^uid=1000.* gid=1000.*2000/);
    expect(said).toMatch(/ 1000 2000 .* file$/m);
    expect(said).toMatch(/CapBnd:\t0+\nNoNewPrivs:\t1/);
  });

  test("a container of another user can't have the agent write through a link that it left", async (context) => {
    needsRoot(context);
    const outside = mkdtempSync(join(tmpdir(), "hostlet-outside-"));
    const target = join(outside, "target");
    writeFileSync(target, "untouched");
    const spec: Partial<PodSpec> = {
      restartPolicy: "OnFailure",
      securityContext: { runAsUser: 12345, runAsGroup: 12345 },
      volumes: [{ name: "scratch", emptyDir: {} }],
      containers: main({ volumeMounts: [{ name: "scratch", mountPath: "scratch" }] }),
    };
    // The second start finds links where the agent would write its own files.
    const script = `[ -e once ] && exit 0; touch once; for f in pgid pgid.tmp scratch/x; do ln -sfn ${target} $f; done; exit 1`;
    await output("links", script, spec);
    expect(readFileSync(target, "utf8")).toBe("untouched");
    expect(statSync(target).mode & 0o777).toBe(0o644);
    rmSync(outside, { recursive: true });
  });
});

describe("admission", () => {
  const direct = (name: string, spec: Partial<PodSpec>) =>
    node.run(name, "sleep 60", { nodeName: node.config.nodeName, ...spec });
  const refused = async (name: string) => {
    const { status } = await node.ended(name);
    const { reason = "", message } = status ?? {};
    expect(message).toMatch(/^Pod was rejected: /);
    expect((await node.event(name, reason)).type).toBe("Warning");
    expect(existsSync(node.path(name))).toBe(false);
    return [status?.phase, reason, message];
  };

  test("a pod that was bound past the scheduler and finds no CPU fails with OutOfcpu, and never runs", async () => {
    await direct("greedy", { containers: main({ resources: { requests: { cpu: "100k" } } }) });
    expect(await refused("greedy")).toEqual([
      "Failed",
      "OutOfcpu",
      expect.stringContaining("Node didn't have enough resource: cpu, requested: 100000000"),
    ]);
  });

  test("nodeSelector and affinity are looked at again: NodeAffinity", async () => {
    await direct("elsewhere", { nodeSelector: { "example.org/site": "elsewhere" } });
    expect((await refused("elsewhere"))[1]).toBe("NodeAffinity");
    const requirement = { key: "example.org/site", operator: "Exists" };
    const nodeAffinity = {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [requirement] }] },
    };
    await direct("elsewhere-2", { affinity: { nodeAffinity } });
    expect((await refused("elsewhere-2"))[1]).toBe("NodeAffinity");
  });

  test("a hostPort is had by one pod at a time, which keeps it over a restart of the agent", async () => {
    const ports = main({ ports: [{ containerPort: 18080, hostPort: 18080 }] });
    await direct("port-a", { containers: ports });
    await node.running("port-a");
    await node.stopAgent();
    await node.startAgent();
    await direct("port-b", { containers: ports });
    expect((await refused("port-b"))[1]).toBe("NodePorts");
    expect((await node.running("port-a")).status?.phase).toBe("Running");
    await node.deleteNow("port-a", 5);
    await node.gone("port-a");
    await node.deleteNow("port-b");
    await node.gone("port-b");
    await direct("port-c", { containers: ports });
    await node.running("port-c");
    await node.deleteNow("port-c");
  });
});

describe("environment and volumes", () => {
  test("a pod finds the Services of its namespace, unless enableServiceLinks is false, and always the API server", async () => {
    const service: Service = { metadata: { name: "linked-svc" }, spec: { ports: [{ name: "web", port: 8080 }] } };
    if (node.cluster.faults) service.spec!.clusterIP = "10.96.0.77";
    const made = await node.client.create<Service>(paths.services("default"), service);
    const address = made.spec?.clusterIP;
    const script = "env | grep -E '^(LINKED_SVC|KUBERNETES)_SERVICE_' | sort";
    const { hostname, port } = new URL(node.client.server);
    const own = [`KUBERNETES_SERVICE_HOST=${hostname}`, `KUBERNETES_SERVICE_PORT=${port}`];
    expect((await output("linked", script)).split("\n")).toEqual(
      expect.arrayContaining([...own, `LINKED_SVC_SERVICE_HOST=${address}`, "LINKED_SVC_SERVICE_PORT_WEB=8080"]),
    );
    const alone = await output("unlinked", script, { enableServiceLinks: false });
    expect(alone).not.toContain("LINKED_SVC");
    expect(alone.split("\n")).toEqual(expect.arrayContaining(own));
    await node.client.delete(paths.services("default", "linked-svc"));
  });

  test("persistentVolumeClaim: a claim that is bound to a directory of this host is mounted, and waited for until it is", async () => {
    const data = join(node.dir, "pv-data");
    mkdirSync(data);
    writeFileSync(join(data, "word"), "persistent");
    const capacity = { storage: "1Gi" };
    const common = { accessModes: ["ReadWriteOnce"], storageClassName: "" };
    const volumes = [{ name: "data", persistentVolumeClaim: { claimName: "claimed" } }];
    const containers = main({ volumeMounts: [{ name: "data", mountPath: "data" }] });
    await node.run("claims", "cat data/word; echo more > data/more", {
      volumes,
      containers,
      nodeName: node.config.nodeName,
    });
    expect((await node.event("claims", "FailedMount")).message).toContain('persistentvolumeclaim "claimed" not found');
    const pv = await node.client.create<PersistentVolume>(paths.persistentVolumes(), {
      metadata: { name: "hostlet-test-pv" },
      spec: { ...common, capacity, hostPath: { path: data }, persistentVolumeReclaimPolicy: "Retain" },
    });
    // A claim that comes before its controller has seen the volume waits for that one's next round.
    const isSeen = async () => {
      const { status } = await node.client.get<PersistentVolume>(paths.persistentVolumes("hostlet-test-pv"));
      return status?.phase === "Available";
    };
    if (!node.cluster.faults) await until(isSeen, "the volume is not available");
    await node.client.create<PersistentVolumeClaim>(paths.persistentVolumeClaims("default"), {
      metadata: { name: "claimed" },
      spec: { ...common, resources: { requests: capacity }, volumeName: "hostlet-test-pv" },
    });
    // A real cluster has a controller for that.
    if (node.cluster.faults) {
      await node.client.patch(
        paths.persistentVolumeClaims("default", "claimed", "status"),
        {
          status: { phase: "Bound" },
        },
        "merge",
      );
    }
    const claim = paths.persistentVolumeClaims("default", "claimed");
    const isBound = async () => (await node.client.get<PersistentVolumeClaim>(claim)).status?.phase === "Bound";
    await until(isBound, "the claim is not bound");
    expect((await node.ended("claims")).status?.phase).toBe("Succeeded");
    expect(await node.logs("claims")).toBe("persistent");
    expect(readFileSync(join(data, "more"), "utf8")).toBe("more\n");
    await node.deleteNow("claims");
    await node.client.delete(paths.persistentVolumeClaims("default", "claimed"));
    await node.client.delete(paths.persistentVolumes(pv.metadata!.name!));
  });

  test("a readOnly mount that nothing enforces is said to have no effect", async () => {
    const spec: Partial<PodSpec> = {
      volumes: [{ name: "scratch", emptyDir: {} }],
      containers: main({
        volumeMounts: [{ name: "scratch", mountPath: "scratch", readOnly: true, mountPropagation: "HostToContainer" }],
      }),
    };
    await output("read-only", "true", spec);
    const { message } = await node.event("read-only", "FieldsIgnored");
    expect(message).toContain("volumeMounts[scratch].readOnly");
    expect(message).toContain("volumeMounts[scratch].mountPropagation");
  });

  test("ephemeral and CSI volumes are refused with the reason", async () => {
    const volumeMounts = [{ name: "v", mountPath: "v" }];
    const refused = async (name: string, source: Partial<Volume>) => {
      const volumes = [{ name: "v", ...source }];
      await node.run(name, "true", { volumes, containers: main({ volumeMounts }), nodeName: node.config.nodeName });
      return (await node.ended(name)).status;
    };
    const csi = await refused("csi", { csi: { driver: "example.org" } });
    expect(csi).toMatchObject({ phase: "Failed", reason: "FailedMount" });
    expect(csi?.message).toContain("type csi");
    // Kubernetes 1.20 has none.
    if (node.cluster.version.startsWith("1.20")) return;
    const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    const ephemeral = await refused("ephemeral", { ephemeral: { volumeClaimTemplate: { spec } } });
    expect(ephemeral?.message).toContain("type ephemeral");
  });
});

describe("static pods", () => {
  const name = () => `static-${node.config.nodeName}`;
  const manifest = (script: string) =>
    JSON.stringify({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "static" },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{ name: "main", image: "none", command: ["sh", "-c", script] }],
      },
    });
  const put = (text: string) => {
    const draft = join(manifests, ".static.yaml");
    writeFileSync(draft, text);
    renameSync(draft, join(manifests, "static.yaml"));
  };
  const said = (word: string) =>
    until(async () => (await node.logs(name()).catch(() => "")).includes(word), `the static pod never said ${word}`);

  test("run from a file with a mirror on the API server, which is made again when it is deleted", async () => {
    put(manifest("echo first; exec sleep 1000"));
    const mirror = await node.running(name());
    expect(mirror.metadata?.annotations).toMatchObject({
      "kubernetes.io/config.source": "file",
      "kubernetes.io/config.mirror": mirror.metadata?.annotations?.["kubernetes.io/config.hash"],
    });
    expect(mirror.metadata?.ownerReferences?.[0]).toMatchObject({ kind: "Node", name: node.config.nodeName });
    await said("first");
    const { containerID } = mirror.status!.containerStatuses![0]!;
    await node.deleteNow(name());
    const again = await node.pod(
      name(),
      ({ metadata, status }) => metadata?.uid !== mirror.metadata?.uid && status?.phase === "Running",
    );
    expect(again.status?.containerStatuses?.[0]).toMatchObject({ containerID, restartCount: 0 });
  });

  test("go on under the next agent, change with their file, also without an API server, and end with it", async () => {
    const before = (await node.running(name())).status!.containerStatuses![0]!.containerID;
    await node.stopAgent();
    await node.startAgent();
    await said("first");
    expect((await node.running(name())).status!.containerStatuses![0]!.containerID).toBe(before);
    const proof = join(node.dir, "static-second");
    const isNodes = ({ user }: { user: string }) => user === `system:node:${node.config.nodeName}`;
    const restore = node.cluster.faults?.add({ match: isNodes, kind: "reset", times: Number.POSITIVE_INFINITY });
    put(manifest(`echo second; touch ${proof}; exec sleep 1000`));
    await until(() => existsSync(proof), "the changed pod did not start");
    restore?.();
    await said("second");
    rmSync(join(manifests, "static.yaml"));
    await until(() => !existsSync(node.path(name())), "the static pod is left");
    await node.gone(name());
  });
});
