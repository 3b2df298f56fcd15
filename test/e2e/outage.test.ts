import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { paths } from "../../src/kube/paths.ts";
import type { Node, Pod } from "../../src/kube/types.ts";
import { realControlPlane } from "../integration/support/controlPlane.ts";
import { TestNode, terminatedState, until } from "../integration/support/node.ts";
import { RealControlPlane } from "../integration/support/realControlPlane.ts";

/** How long the API server is away; HOSTLET_E2E_OUTAGE=120 for the two minutes of the figures. */
const awaySeconds = Number(process.env.HOSTLET_E2E_OUTAGE ?? 20);
/** What a node promises for the time after. */
const trueWithinMs = 5_000;

let plane: RealControlPlane;
let node: TestNode;

// One of its own: the others' API server stays.
beforeAll(async () => {
  const { version, programs } = inject("controlPlane")!;
  plane = await RealControlPlane.start({ version, programs });
  node = await TestNode.start({}, { cluster: realControlPlane({ ...plane, programs }) });
});

afterAll(async () => {
  try {
    await node?.stop();
  } finally {
    await plane?.stop();
  }
});

test("while the API server is away pods run on, and what they did is known seconds after its return", async () => {
  const file = (name: string) => join(node.dir, name);
  const waitFor = (name: string) => `until test -e ${file(name)}; do sleep 0.05; done`;
  await node.run("runs-on", `while :; do echo x >> ${file("journal")}; sleep 0.1; done`);
  await node.run("ends", `${waitFor("go")}; exit 3`);
  await node.run("restarts", `test -e once && exec sleep 600; ${waitFor("go")}; touch once; exit 1`, {
    restartPolicy: "OnFailure",
  });
  for (const name of ["runs-on", "ends", "restarts"]) await node.running(name);

  await plane.stopApiServer();
  const before = readFileSync(file("journal")).length;
  writeFileSync(file("go"), "");
  await new Promise((resolve) => setTimeout(resolve, awaySeconds * 1000));
  expect(readFileSync(file("journal")).length).toBeGreaterThan(before + awaySeconds);
  const restart = Date.now();
  await plane.startApiServer();

  const back = Date.now();
  const pod = (name: string) => node.client.get<Pod>(paths.pods("default", name));
  const since: Record<string, number> = {};
  const knows = async (what: string, holds: () => Promise<boolean>) => {
    await until(holds, `${what} is not known`);
    since[what] = Date.now() - back;
  };
  const created = node.run("new", "exit 0", { nodeName: "node-1" });
  await Promise.all([
    knows("end", async () => terminatedState(await pod("ends"))?.exitCode === 3),
    knows("restart", async () => (await pod("restarts")).status?.containerStatuses?.[0]?.restartCount === 1),
    knows("lease", async () => {
      const { status } = await node.client.get<Node>(paths.nodes("node-1"));
      const lease = await node.client.get<{ spec: { renewTime: string } }>(paths.leases("kube-node-lease", "node-1"));
      const ready = status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
      return ready && Date.parse(lease.spec.renewTime) >= restart;
    }),
    created.then(() => knows("new pod", async () => (await pod("new")).status?.phase === "Succeeded")),
  ]);
  console.log(`known after ${awaySeconds} s without the API server, in ms: ${JSON.stringify(since)}`);
  for (const what of ["end", "restart", "new pod"]) expect(since[what]).toBeLessThan(trueWithinMs);
  expect((await pod("runs-on")).status?.containerStatuses?.[0]?.restartCount).toBe(0);
});
