import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DevCluster, startDevCluster } from "../../src/devcluster/index.ts";

/** Which kubectl is tried: `KUBECTL`, or the one on PATH. */
const kubectl = process.env.KUBECTL ?? "kubectl";

/** The 33 of 1.33; undefined where there is no kubectl. */
function minorVersion(): number | undefined {
  try {
    const text = execFileSync(kubectl, ["version", "--client", "-o", "json"], { encoding: "utf8" });
    return Number.parseInt(JSON.parse(text).clientVersion.minor, 10);
  } catch {
    return undefined;
  }
}

const found = minorVersion();
const minor = found ?? 0;

interface Result {
  code: number;
  out: string;
  err: string;
}

const manifest = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1"}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeSelector: {kubernetes.io/role: agent}
  containers:
  - name: main
    image: busybox:1
    command: [sleep, "100"]
    resources: {limits: {cpu: 100m}}
    volumeMounts: [{name: settings, mountPath: /etc/settings}]
  volumes:
  - name: settings
    configMap: {name: settings}
`;

const node = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1", labels: { "kubernetes.io/role": "agent" } },
  status: {
    conditions: [{ type: "Ready", status: "True", reason: "KubeletReady", message: "ready" }],
    allocatable: { cpu: "4", memory: "4Gi", pods: "100" },
    capacity: { cpu: "4", memory: "4Gi", pods: "100" },
    addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
    nodeInfo: {
      architecture: "amd64",
      bootID: "",
      containerRuntimeVersion: "process://0.1.0",
      kernelVersion: "6.1.0",
      kubeProxyVersion: "",
      kubeletVersion: "v1.34.2",
      machineID: "",
      operatingSystem: "linux",
      osImage: "Debian",
      systemUUID: "",
    },
  },
};

// Skipped where there is no kubectl: nothing else can stand in for it.
describe.skipIf(found === undefined)("real kubectl on the embedded control plane", () => {
  let dir: string;
  let cluster: DevCluster;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "kubectl-"));
    cluster = await startDevCluster();
    writeFileSync(join(dir, "config"), cluster.kubeconfig("admin"), { mode: 0o600 });
    writeFileSync(join(dir, "node.json"), JSON.stringify(node));
    writeFileSync(join(dir, "web.yaml"), manifest);
  });
  afterAll(async () => {
    for (const child of children) child.kill("SIGKILL");
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  // HOME keeps kubectl's cache inside the temporary directory.
  const environment = () => ({
    PATH: process.env.PATH,
    HOME: dir,
    KUBECONFIG: join(dir, "config"),
    KUBE_EDITOR: join(dir, "editor.sh"),
  });

  function run(...args: string[]): Promise<Result> {
    return new Promise((resolve) => {
      execFile(kubectl, args, { env: environment(), cwd: dir, timeout: 30_000 }, (error, out, err) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, out, err });
      });
    });
  }

  async function output(...args: string[]): Promise<string> {
    const { code, out, err } = await run(...args);
    expect(code, err).toBe(0);
    return out;
  }

  const columns = (text: string) =>
    text
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s{2,}/));

  it("creates a node and shows it", async () => {
    expect(await output("create", "-f", "node.json")).toBe("node/n1 created\n");
    const [header, row] = columns(await output("get", "nodes", "-o", "wide"));
    expect(header).toEqual([
      "NAME",
      "STATUS",
      "ROLES",
      "AGE",
      "VERSION",
      "INTERNAL-IP",
      "EXTERNAL-IP",
      "OS-IMAGE",
      "KERNEL-VERSION",
      "CONTAINER-RUNTIME",
    ]);
    expect(row?.toSpliced(3, 1)).toEqual([
      "n1",
      "Ready",
      "agent",
      "v1.34.2",
      "127.0.0.1",
      "<none>",
      "Debian",
      "6.1.0",
      "process://0.1.0",
    ]);
  });

  it("applies a manifest, and finds nothing to do the second time", async () => {
    expect(await output("apply", "-f", "web.yaml")).toBe("configmap/settings created\npod/web created\n");
    expect(await output("apply", "-f", "web.yaml")).toBe("configmap/settings unchanged\npod/web unchanged\n");
    writeFileSync(join(dir, "web2.yaml"), manifest.replace('a: "1"', 'b: "2"').replace("busybox:1", "busybox:2"));
    expect(await output("apply", "-f", "web2.yaml")).toBe("configmap/settings configured\npod/web configured\n");
    expect(JSON.parse(await output("get", "cm", "settings", "-o", "json")).data).toEqual({ b: "2" });
    expect(await output("get", "pod", "web", "-o", "jsonpath={.spec.containers[0].image}")).toBe("busybox:2");
  });

  it("shows pods in its columns", async () => {
    const [header, row] = columns(await output("get", "pods", "-o", "wide"));
    expect(header).toEqual([
      "NAME",
      "READY",
      "STATUS",
      "RESTARTS",
      "AGE",
      "IP",
      "NODE",
      "NOMINATED NODE",
      "READINESS GATES",
    ]);
    expect(row?.toSpliced(4, 1)).toEqual(["web", "0/1", "Pending", "0", "<none>", "n1", "<none>", "<none>"]);
    expect(await output("get", "pods,cm", "-A", "-l", "app=web", "-o", "name")).toBe("pod/web\n");
    expect(await output("get", "pod", "web", "-o", "yaml")).toContain("terminationGracePeriodSeconds: 30");
    expect(await output("get", "pods", "--field-selector", "spec.nodeName=elsewhere", "-o", "name")).toBe("");
  });

  it("describes pods and nodes, and lists Events", async () => {
    const pod = await output("describe", "pod", "web");
    expect(pod).toMatch(/^Node:\s+n1/m);
    expect(pod).toMatch(/Scheduled\s+\S+\s+default-scheduler\s+Successfully assigned default\/web to n1/);
    const described = await output("describe", "node", "n1");
    expect(described).toMatch(/default\s+web\s+100m \(2%\)/);
    const [header, row] = columns(await output("get", "events"));
    expect(header).toEqual(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    expect(row?.slice(1)).toEqual(["Normal", "Scheduled", "pod/web", "Successfully assigned default/web to n1"]);
  });

  it("labels, annotates and patches", async () => {
    await output("label", "pod", "web", "tier=front");
    await output("annotate", "pod", "web", "note=hello");
    await output("patch", "cm", "settings", "--type=json", "-p", '[{"op":"add","path":"/data/c","value":"3"}]');
    expect(
      await output("get", "pod", "web", "-o", "jsonpath={.metadata.labels.tier} {.metadata.annotations.note}"),
    ).toBe("front hello");
    expect(await output("get", "cm", "settings", "-o", "jsonpath={.data}")).toBe('{"b":"2","c":"3"}');
    await output("cordon", "n1");
    expect(columns(await output("get", "node", "n1"))[1]?.[1]).toBe("Ready,SchedulingDisabled");
    await output("uncordon", "n1");
  });

  it("says what is wrong with a manifest", async () => {
    writeFileSync(join(dir, "bad.yaml"), manifest.replace("image: busybox:1", "image: busybox:1\n    imagine: x"));
    const { code, err } = await run("create", "-f", "bad.yaml");
    expect(code).toBe(1);
    expect(err).toMatch(/unknown field "(spec\.containers\[0\]\.)?imagine"/);
    expect((await run("get", "pod", "nobody")).err).toBe('Error from server (NotFound): pods "nobody" not found\n');
  });

  it("watches, and waits for a deletion", async () => {
    const child = spawn(kubectl, ["get", "pods", "-w"], { env: environment(), stdio: ["ignore", "pipe", "ignore"] });
    children.push(child);
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const next = async () =>
      ((await lines.next()).value as string | undefined)
        ?.trim()
        .split(/\s{2,}/)
        .slice(0, 3);
    expect(await next()).toEqual(["NAME", "READY", "STATUS"]);
    expect(await next()).toEqual(["web", "0/1", "Pending"]);
    const deleted = output("delete", "pod", "web");
    expect(await next()).toEqual(["web", "0/1", "Terminating"]);
    // The kubelet's part.
    await output("delete", "pod", "web", "--grace-period=0", "--force");
    expect(await deleted).toMatch(/^pod "web" deleted/);
    expect(await output("get", "pods", "-o", "name")).toBe("");
    child.kill("SIGKILL");
  });

  it("deletes now, or by force", async () => {
    for (const flag of ["--now", "--force"]) {
      await output("apply", "-f", "web.yaml");
      const deleting = run("delete", "pod", "web", flag);
      if (flag === "--now") {
        const grace = "jsonpath={.metadata.deletionGracePeriodSeconds}";
        await expect.poll(() => output("get", "pod", "web", "-o", grace), { timeout: 20_000 }).toBe("1");
        // The kubelet's part.
        await output("delete", "pod", "web", "--grace-period=0", "--force");
      }
      expect((await deleting).out).toMatch(/^pod "web" (force )?deleted/);
      expect((await run("get", "pod", "web")).err).toContain("not found");
    }
  });

  it("patches in each of the three ways", async () => {
    await output("apply", "-f", "web.yaml");
    const image = () => output("get", "pod", "web", "-o", "jsonpath={.spec.containers[*].image}");
    const patch = (type: string, content: unknown) =>
      output("patch", "pod", "web", `--type=${type}`, "-p", JSON.stringify(content));
    await patch("strategic", { spec: { containers: [{ name: "main", image: "a:1" }] } });
    expect(await image()).toBe("a:1");
    await patch("json", [{ op: "replace", path: "/spec/containers/0/image", value: "b:1" }]);
    expect(await image()).toBe("b:1");
    await patch("merge", { metadata: { labels: { app: null, tier: "back" } } });
    expect(await output("get", "pod", "web", "-o", "jsonpath={.metadata.labels}")).toBe('{"tier":"back"}');
    const refused = await run("patch", "pod", "web", "-p", '{"spec":{"restartPolicy":"Never"}}');
    expect(refused.err).toContain("pod updates may not change fields other than");
  });

  it("labels and annotates: over what is there, off, and all at once", async () => {
    expect((await run("label", "pod", "web", "tier=front")).err).toContain("already has a value (back)");
    await output("label", "pod", "web", "tier=front", "--overwrite");
    await output("label", "pods", "--all", "extra=1");
    await output("label", "pod", "web", "extra-");
    expect(await output("get", "pod", "web", "-o", "jsonpath={.metadata.labels}")).toBe('{"tier":"front"}');
    await output("annotate", "pods", "-l", "tier=front", "note=x");
    await output("annotate", "pod", "web", "note-");
    expect((await run("label", "pod", "web", "a b=c")).err).not.toBe("");
  });

  it("selects by labels and fields", async () => {
    const names = async (...args: string[]) => (await output("get", "pods", "-o", "name", ...args)).trim();
    expect(await names("-l", "tier in (front,back),!app")).toBe("pod/web");
    expect(await names("-l", "tier notin (front)")).toBe("");
    expect(await names("-l", "tier!=back")).toBe("pod/web");
    expect(await names("--field-selector", "metadata.name!=web")).toBe("");
    expect(await names("--field-selector", "spec.nodeName=n1,status.phase=Pending")).toBe("pod/web");
    expect((await run("get", "pods", "--field-selector", "spec.imagined=1")).err).toContain(
      "field label not supported",
    );
    const events = ["get", "events", "-o", "name", "--field-selector"];
    expect(await output(...events, "involvedObject.name=web,reason=Scheduled")).toContain("event/web.");
  });

  it.skipIf(minor < 26)("lists the Events of an object", async () => {
    expect(await output("events", "--for", "pod/web")).toMatch(/Normal\s+Scheduled\s+Pod\/web\s+Successfully assigned/);
  });

  it("edits", async () => {
    const edit = (program: string, ...args: string[]) => {
      writeFileSync(join(dir, "editor.sh"), `#!/bin/sh\n${program} "$1"\n`, { mode: 0o700 });
      return run("edit", ...args);
    };
    expect((await edit("sed -i s/busybox:1/busybox:3/", "pod", "web")).out).toContain("pod/web edited");
    expect((await edit("sed -i s/b:1/busybox:3/", "pod", "web")).out).toContain("pod/web edited");
    expect(await output("get", "pod", "web", "-o", "jsonpath={.spec.containers[0].image}")).toBe("busybox:3");
    expect((await edit("true", "pod", "web")).err).toContain("cancelled, no changes made");
    const invalid = await edit("sed -i s/priority:.*/priority:\\ 7/", "pod", "web");
    expect(invalid.code).toBe(1);
    expect(invalid.err).toMatch(/is invalid|pod updates may not change/);
  });

  it("asks what it may do and who it is", async () => {
    expect(await output("auth", "can-i", "delete", "nodes")).toBe("yes\n");
    expect(await output("auth", "can-i", "--list")).toMatch(/\*\.\*\s+\[\]\s+\[\]\s+\[\*\]/);
    if (minor < 28) return;
    expect(await output("auth", "whoami")).toMatch(/Username\s+kubernetes-admin/);
    const bob = await output("auth", "whoami", "--as=bob", "--as-group=a", "--as-group=b");
    expect(bob).toMatch(/Username\s+bob\nGroups\s+\[a b system:authenticated\]/);
  });

  it("is refused server-side apply, as by an API server without it", async () => {
    const { code, err } = await run("apply", "--server-side", "-f", "web.yaml");
    expect(code).toBe(1);
    expect(err).toContain("Server-side apply not available on the server");
  });

  // `kubectl get -w` itself ends, with 0, when its watch does: of any API server. Older ones don't wait again either.
  it("finds the control plane and its objects again after a restart at the same port", async () => {
    const state = join(dir, "state");
    let restarted = await startDevCluster({ dir: state });
    const port = Number(new URL(restarted.url).port);
    writeFileSync(join(dir, "restarted"), restarted.kubeconfig("admin"), { mode: 0o600 });
    const again = (...args: string[]) => run("--kubeconfig=restarted", ...args);
    try {
      expect((await again("create", "configmap", "kept")).code).toBe(0);
      await restarted.stop();
      restarted = await startDevCluster({ dir: state, port });
      expect((await again("delete", "configmap", "kept")).out).toContain('configmap "kept" deleted');
    } finally {
      await restarted.stop();
    }
  });

  it("explains fields and lists what there is", async () => {
    expect(await output("explain", "pod.spec.containers.image")).toMatch(/FIELD:\s+image <string>/);
    expect(await output("api-resources", "--namespaced=true", "-o", "name")).toContain("leases.coordination.k8s.io");
  });
});
