import { afterEach, beforeEach, expect, test } from "vitest";
import { paths } from "../../src/kube/paths.ts";
import type { Node, Pod } from "../../src/kube/types.ts";
import { NodeCluster, readyCondition } from "./support/nodeCommand.ts";

let home: NodeCluster;
beforeEach(async () => {
  home = await NodeCluster.start();
  home.kubeconfig();
});
afterEach(() => home.stop());

const alive = ({ metadata }: Node) => Number(metadata?.labels?.["jiriaf.alivetime"]);

/** A pod for nodes that live longer than so many seconds. */
const outliving = (seconds: number): Partial<Pod["spec"]> => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          { matchExpressions: [{ key: "jiriaf.alivetime", operator: "Gt", values: [String(seconds)] }] },
        ],
      },
    },
  },
});

test("a node's time counts down, and ends in a drain that the cluster sees", async () => {
  const { memory, code, ready } = home.node({ walltime: "11s", walltimeMargin: "7s" });
  await ready();
  const first = await home.getNode();
  expect(first.metadata?.labels?.["jiriaf.walltime"]).toBe("11");
  await home.sleeper("polite", { script: "trap 'exit 5' TERM; while :; do sleep 0.05; done" });
  await home.sleeper("stubborn", { script: "trap '' TERM; while :; do sleep 0.05; done" });
  await home.sleeper("ended", { script: "true" });
  await home.running("polite");
  await home.running("stubborn");
  await home.untilPod("ended", ({ status }) => status?.phase === "Succeeded");
  await home.untilNode((node) => alive(node) < alive(first));

  const left = await home.untilNode((node) => readyCondition(node)?.status === "False");
  expect(left.spec?.unschedulable).toBe(true);
  expect(readyCondition(left)).toMatchObject({
    reason: "WalltimeExceeded",
    message: expect.stringMatching(/^The node's walltime of 11 s ends in \d s$/),
  });
  await home.sleeper("late");
  expect(await code).toBe(0);
  expect(memory.stderr()).toMatch(/walltime of 11 s .*: ending 3 pods/);

  const pod = (name: string) => home.client.get<Pod>(paths.pods("default", name));
  for (const [name, exitCode] of [
    ["polite", 5],
    ["stubborn", 137],
  ] as const) {
    const { status } = await pod(name);
    expect(status).toMatchObject({
      phase: "Failed",
      reason: "Terminated",
      message: expect.stringContaining("walltime of 11 s"),
    });
    expect(status?.conditions).toContainEqual(
      expect.objectContaining({ type: "DisruptionTarget", status: "True", reason: "TerminationByKubelet" }),
    );
    expect(status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(exitCode);
  }
  expect((await pod("ended")).status?.phase).toBe("Succeeded");
  expect((await pod("late")).spec?.nodeName).toBeUndefined();

  // A later agent of the same name: the node is open again, and what waited runs.
  await home.node({ walltime: "1h" }).ready();
  await home.running("late");
});

test("pods go where enough time is left", async () => {
  await home.node({ walltime: "10m" }).ready();
  await home.sleeper("long", { spec: outliving(3600) });
  await home.sleeper("short", { spec: outliving(60) });
  await home.running("short");
  const waiting = await home.untilPod("long", ({ status }) => status?.conditions?.[0]?.reason === "Unschedulable");
  expect(waiting.status?.conditions?.[0]?.message).toContain("didn't match Pod's node affinity/selector");
});

test("a walltime of 0 is none: no labels, and pods that ask for time wait", async () => {
  await home.node({ walltime: "0" }).ready();
  const { metadata } = await home.getNode();
  expect(Object.keys(metadata?.labels ?? {}).filter((name) => name.startsWith("jiriaf."))).toEqual([]);
  await home.sleeper("any", { spec: outliving(1) });
  await home.untilPod("any", ({ status }) => status?.conditions?.[0]?.reason === "Unschedulable");
});

test("--on-exit=delete-node takes the Node away at the end", async () => {
  expect(await home.node({ walltime: "1s", walltimeMargin: "500ms", onExit: "delete-node" }).code).toBe(0);
  await expect(home.getNode()).rejects.toMatchObject({ code: 404 });
});

test("a node leaves in time from a cluster that does not answer any more, and its pods end", async () => {
  const { code, ready } = home.node({ walltime: "12s", walltimeMargin: "4s" });
  await ready();
  await home.sleeper("a");
  const pod = await home.running("a");
  home.cluster.faults.add({
    match: ({ method, path }) => method === "PATCH" && path.includes("/nodes/n1"),
    kind: "slow",
    delayMs: 600_000,
    times: 1000,
  });
  expect(await code).toBe(0);
  const { status } = await home.client.get<Pod>(paths.pods("default", pod.metadata!.name!));
  expect(status).toMatchObject({ phase: "Failed", reason: "Terminated" });
});
