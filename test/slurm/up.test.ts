import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SlurmCluster } from "./support/cluster.ts";
import { Up } from "./support/up.ts";

const cluster = new SlurmCluster();
const home = mkdtempSync(join(tmpdir(), "hostlet-up-"));
let up: Up;

beforeAll(async () => {
  await cluster.start();
  up = new Up(home, cluster.env());
  await up.start();
});
afterAll(async () => {
  await up.stop();
  await cluster.stop();
  rmSync(home, { recursive: true, force: true });
});

const objects = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: s3cret}
---
apiVersion: v1
kind: Pod
metadata: {name: whole}
spec:
  restartPolicy: Never
  initContainers:
  - name: init
    image: none
    command: [sh, -c, "echo first > $HOSTLET_VOLUME_WORK/order"]
    volumeMounts: [{name: work, mountPath: /work}]
  containers:
  - name: main
    image: none
    command: [sh, -c, 'cat $HOSTLET_VOLUME_WORK/order $HOSTLET_VOLUME_SETTINGS/greeting; echo; echo "$PASSWORD"; id -u; echo job $SLURM_JOB_ID of $SLURM_CPUS_PER_TASK CPUs; exit 4']
    env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: password, key: password}}}]
    resources: {limits: {cpu: "2", memory: 64Mi}}
    volumeMounts: [{name: work, mountPath: /work}, {name: settings, mountPath: /settings}]
  volumes:
  - {name: work, emptyDir: {}}
  - {name: settings, configMap: {name: settings}}
`;

test("a pod runs in a job: volumes, init containers, environment and exit code are as anywhere", async () => {
  expect(await up.kubectl(["apply", "-f", "-"], objects)).toMatchObject({ code: 0, err: "" });
  await up.until(["get", "pod", "whole"], (out) => out.includes("Error"));
  const { out } = await up.kubectl(["logs", "whole"]);
  const [first, greeting, password, uid, job] = out.trim().split("\n");
  expect([first, greeting, password]).toEqual(["first", "hello", "s3cret"]);
  expect(uid).not.toBe("0");
  expect(job).toMatch(/^job \d+ of 2 CPUs$/);
  const code = ["get", "pod", "whole", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"];
  expect((await up.kubectl(code)).out).toBe("4");
  const { out: description } = await up.kubectl(["describe", "pod", "whole"]);
  expect(description).toMatch(/Submitted batch job \d+/);
  expect(description).toMatch(/Started container main/);
});

test("nothing of a Secret is on a command line, in the job's script or where others can read", async () => {
  const id = (await up.kubectl(["describe", "pod", "whole"])).out.match(/batch job (\d+)/)?.[1] ?? "";
  const script = cluster.command("scontrol", ["write", "batch_script", id, "-"]);
  expect(script.stdout).toContain("pod-run");
  expect(script.stdout + cluster.command("scontrol", ["show", "job", id]).stdout).not.toContain("s3cret");
  const open = cluster.command("find", [
    join(home, ".hostlet/slurm/slurm"),
    "-maxdepth",
    "3",
    "-not",
    "-type",
    "l",
    "-perm",
    "/077",
  ]);
  expect(open.stdout).toBe("");
});

test("a job that waits says why, and one that Slurm refuses says so in Slurm's words", async () => {
  const waiting = pod("waits", { "slurm-job.vk.io/flags": "--hold" });
  const refused = pod("refused", { "slurm-job.hostlet.dev/partition": "nowhere" });
  await up.kubectl(["apply", "-f", "-"], list(waiting, refused));
  await up.until(["get", "pod", "waits"], (out) => out.includes("InSlurmQueue"));
  const message = ["get", "pod", "waits", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}"];
  await up.until(message, (out) => out === "JobHeldUser: held by its user; scontrol release");
  const why = ["get", "pod", "refused", "-o", "jsonpath={.status.phase}: {.status.reason}: {.status.message}"];
  await up.until(why, (out) => /^Failed: SlurmSubmitRefused: .*[Ii]nvalid partition/.test(out));
  expect(await up.kubectl(["delete", "pod", "waits", "refused"])).toMatchObject({ code: 0 });
});

test("the node has what Slurm has", async () => {
  const { out } = await up.kubectl([
    "get",
    "node",
    "slurm",
    "-o",
    "jsonpath={.status.capacity.cpu} {.status.capacity.memory}",
  ]);
  expect(out).toBe("64 100000Mi");
});

test("jobs outlive a killed agent, and the next one tells their ends", async () => {
  const names = ["a", "b", "c"];
  await up.kubectl(["apply", "-f", "-"], list(...names.map((name) => pod(name, {}, "sleep 4; echo done; exit 7"))));
  await up.until(["get", "pod", "a"], (out) => out.includes("Running"));
  await up.stop("SIGKILL");
  await up.start();
  for (const name of names) await up.until(["get", "pod", name], (out) => out.includes("Error"));
  expect((await up.kubectl(["logs", "c"])).out).toBe("done\n");
  const jobs = cluster.command("squeue", ["-h", "-a", "-t", "all", "-o", "%j"]).stdout;
  expect(jobs.match(/^default\/a\./gm)).toHaveLength(1);
});

function list(...items: object[]): string {
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

function pod(name: string, annotations: Record<string, string>, script = "sleep 100"): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, annotations },
    spec: { restartPolicy: "Never", containers: [{ name: "main", image: "none", command: ["sh", "-c", script] }] },
  };
}
