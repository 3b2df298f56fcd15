import { afterAll, beforeAll, expect, test } from "vitest";
import { isNotFound } from "../../src/kube/apiError.ts";
import { paths, resourcePath } from "../../src/kube/paths.ts";
import type { Pod, PodSpec } from "../../src/kube/types.ts";
import { TestNode, until } from "../integration/support/node.ts";

/** As much of the controllers' objects as is looked at. */
interface Condition {
  type: string;
  status: string;
  reason?: string;
}
interface Workload {
  metadata: { name: string };
  spec: object;
  status?: {
    succeeded?: number;
    failed?: number;
    availableReplicas?: number;
    updatedReplicas?: number;
    replicas?: number;
    observedGeneration?: number;
    conditions?: Condition[];
  };
}

let node: TestNode;

beforeAll(async () => {
  node = await TestNode.start();
});

afterAll(() => node.stop());

const collection = (resource: string, group: string, version = "v1") => ({
  path: (name?: string) => resourcePath({ group, version, resource, namespace: "default", ...(name && { name }) }),
});
const jobs = collection("jobs", "batch");
const deployments = collection("deployments", "apps");

const template = (app: string, script: string, spec: Partial<PodSpec> = {}) => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: "main", image: "none", command: ["sh", "-c", script] }], ...spec },
});

async function podsOf(app: string): Promise<Pod[]> {
  return (await node.client.list<Pod>(paths.pods("default"), { query: { labelSelector: `app=${app}` } })).items;
}

/** The object once it is so; asks, as what is asked about are controllers' counts. */
async function becomes(path: string, when: (workload: Workload) => boolean, seconds = 60): Promise<Workload> {
  let last: Workload | undefined;
  const deadline = Date.now() + seconds * 1000;
  while (Date.now() < deadline) {
    last = await node.client.get<Workload>(path);
    if (when(last)) return last;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${path} never became what was waited for; at last: ${JSON.stringify(last?.status)}`);
}

const has = (type: string) => (workload: Workload) =>
  workload.status?.conditions?.some((c) => c.type === type && c.status === "True") ?? false;

/** With its pods, as kubectl does it; resolves when they are gone. */
async function remove(path: string, app: string): Promise<void> {
  await node.client.delete(path, { propagationPolicy: "Foreground" });
  await until(async () => {
    const left = await node.client.get(path).catch((error) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
    return left === undefined && (await podsOf(app)).length === 0;
  }, `${path} is still there`);
}

test("a Job of script pods is complete when as many as it wants succeeded", async () => {
  const name = "adds-up";
  await node.client.create(jobs.path(), {
    metadata: { name },
    spec: { completions: 4, parallelism: 2, template: template(name, "echo done", { restartPolicy: "Never" }) },
  });
  expect((await becomes(jobs.path(name), has("Complete"))).status?.succeeded).toBe(4);
  const pods = await podsOf(name);
  expect(pods.map((pod) => pod.status?.phase)).toEqual(Array(4).fill("Succeeded"));
  expect(await node.logs(pods[0]!.metadata!.name!)).toBe("done\n");
  await remove(jobs.path(name), name);
});

test("a Job whose pods fail is tried as often as it may, and then Failed", async () => {
  const name = "gives-up";
  await node.client.create(jobs.path(), {
    metadata: { name },
    spec: { backoffLimit: 1, template: template(name, "exit 3", { restartPolicy: "Never" }) },
  });
  const { status } = await becomes(jobs.path(name), has("Failed"));
  expect(status?.conditions?.find(({ type }) => type === "Failed")?.reason).toBe("BackoffLimitExceeded");
  expect(status?.failed).toBe(2);
  await remove(jobs.path(name), name);
});

test("a Job that is deleted takes its running pods with it", async () => {
  const name = "cut-short";
  await node.client.create(jobs.path(), {
    metadata: { name },
    spec: { template: template(name, "exec sleep 600", { restartPolicy: "Never" }) },
  });
  await until(async () => (await podsOf(name))[0]?.status?.phase === "Running", "no pod runs");
  await remove(jobs.path(name), name);
});

test("a Deployment becomes available, is rolled over to a new script, scaled, and removed", async () => {
  const name = "serves";
  const path = deployments.path(name);
  const sleeper = (word: string) => template(name, `echo ${word}; trap 'exit 0' TERM; while :; do sleep 0.1; done`);
  await node.client.create(deployments.path(), {
    metadata: { name },
    spec: { replicas: 3, selector: { matchLabels: { app: name } }, template: sleeper("first") },
  });
  const settled = (replicas: number, generation: number) => (workload: Workload) => {
    const { observedGeneration = 0, availableReplicas = 0, updatedReplicas = 0, ...status } = workload.status ?? {};
    const counts = [availableReplicas, updatedReplicas, status.replicas ?? 0];
    return observedGeneration >= generation && counts.every((count) => count === replicas);
  };
  await becomes(path, settled(3, 1));

  await node.client.patch(path, { spec: { template: sleeper("second") } }, "strategic");
  await becomes(path, settled(3, 2));
  await until(async () => (await podsOf(name)).length === 3, "pods of the first script are left");
  for (const { metadata } of await podsOf(name)) {
    await until(async () => (await node.logs(metadata!.name!)) === "second\n", "not the second script");
  }

  await node.client.patch(path, { spec: { replicas: 1 } }, "strategic");
  await becomes(path, settled(1, 3));
  await remove(path, name);
});

test("a replica that is killed is replaced by its container's restart, and one that is deleted by another pod", async () => {
  const name = "stays";
  await node.client.create(deployments.path(), {
    metadata: { name },
    spec: {
      selector: { matchLabels: { app: name } },
      template: template(name, "test -e x || { touch x; exit 1; }; exec sleep 600"),
    },
  });
  const restarted = (pod: Pod | undefined) =>
    pod?.status?.containerStatuses?.[0]?.restartCount === 1 && pod.status.containerStatuses[0].ready;
  await until(async () => restarted((await podsOf(name))[0]), "the container was not restarted");
  const [first] = await podsOf(name);
  await node.deleteNow(first!.metadata!.name!, 1);
  await until(async () => {
    const pods = await podsOf(name);
    return pods.length === 1 && pods[0]!.metadata!.uid !== first!.metadata!.uid && Boolean(restarted(pods[0]));
  }, "the deleted pod was not replaced");
  await remove(deployments.path(name), name);
});

test("a CronJob starts a Job each minute", async () => {
  const name = "each-minute";
  const before_1_21 = node.cluster.version.startsWith("1.20.");
  const cronJobs = collection("cronjobs", "batch", before_1_21 ? "v1beta1" : "v1");
  await node.client.create(cronJobs.path(), {
    metadata: { name },
    spec: {
      schedule: "* * * * *",
      jobTemplate: { spec: { template: template(name, "date", { restartPolicy: "OnFailure" }) } },
    },
  });
  const deadline = Date.now() + 90_000; // the next full minute, and what controllers take
  let phases: (string | undefined)[] = [];
  while (!phases.includes("Succeeded") && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    phases = (await podsOf(name)).map((pod) => pod.status?.phase);
  }
  expect(phases).toContain("Succeeded");
  await remove(cronJobs.path(name), name);
});
