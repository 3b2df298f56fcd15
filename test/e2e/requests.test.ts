import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { createClient } from "../../src/kube/client.ts";
import { parseKubeconfig } from "../../src/kube/kubeconfig.ts";
import { paths } from "../../src/kube/paths.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { type AuditEntry, countRequests, readAudit } from "../integration/support/audit.ts";
import { TestNode } from "../integration/support/node.ts";

let node: TestNode;

beforeAll(async () => {
  node = await TestNode.start();
});

afterAll(() => node.stop());

/** What the agent asked for while `work` was done. */
async function requestsDuring(work: () => Promise<unknown>): Promise<AuditEntry[]> {
  const since = Date.now();
  await work();
  return readAudit(inject("controlPlane")!.auditLog, "system:node:node-1", since);
}

test("the log that tells what agents were refused tells it", async () => {
  const since = Date.now();
  const access = parseKubeconfig(node.cluster.nodeKubeconfig("bold"), { file: "of the test" });
  const bold = createClient(access, { log: silentLogger, clock: systemClock, userAgent: "hostlet-test" });
  await expect(bold.delete(paths.nodes("node-1"))).rejects.toMatchObject({ code: 403 });
  bold.close();
  expect(node.cluster.refusals("bold", since)).toEqual([expect.stringMatching(/^delete nodes node-1: /)]);
  expect(node.cluster.refusals("node-1", since)).toEqual([]);
});

const pods = 20;

test("a pod costs few requests, and none of them for whole kinds", async () => {
  const names = Array.from({ length: pods }, (_, i) => `cheap-${i}`);
  await node.configMap("settings", { word: "hello" });
  const requests = await requestsDuring(async () => {
    for (const name of names) {
      await node.run(name, "cat settings/word", {
        containers: [{ name: "main", volumeMounts: [{ name: "settings", mountPath: "settings" }] }],
        volumes: [{ name: "settings", configMap: { name: "settings" } }],
      });
    }
    for (const name of names) await node.ended(name);
    for (const name of names) await node.event(name, "Started");
  });
  const counts = countRequests(requests);
  console.log(`requests of ${pods} pods with a ConfigMap each: ${JSON.stringify(counts)}`);
  const statuses = counts["patch pods/status"] ?? 0;
  expect(statuses).toBeGreaterThanOrEqual(pods);
  expect(statuses).toBeLessThanOrEqual(3 * pods);
  expect(requests.length).toBeLessThanOrEqual(8 * pods);
  const wholeKinds = requests.filter(
    ({ verb, objectRef }) =>
      ["list", "watch"].includes(verb) && /^(configmaps|secrets)$/.test(objectRef?.resource ?? "") && !objectRef?.name,
  );
  expect(wholeKinds).toEqual([]);
});

test("a minute in which nothing happens costs the lease's renewals and little else", async () => {
  await node.run("idle", "exec sleep 600");
  await node.running("idle");
  await new Promise((resolve) => setTimeout(resolve, 5_000)); // its last Event, and what is watched after a second
  const requests = await requestsDuring(() => new Promise((resolve) => setTimeout(resolve, 60_000)));
  const counts = countRequests(requests);
  console.log(`requests of an idle minute: ${JSON.stringify(counts)}`);
  expect(requests.length).toBeLessThanOrEqual(10);
  expect(counts["patch leases"]).toBeGreaterThanOrEqual(5);
});
