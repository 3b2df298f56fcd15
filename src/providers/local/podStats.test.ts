import { expect, test } from "vitest";
import type { Pod } from "../../kube/types.ts";
import { podStats } from "./podStats.ts";

const pod = (name: string): Pod => ({
  metadata: { namespace: "ns", name, uid: name },
  spec: {
    containers: [{ name: "c" }],
    volumes: [
      { name: "scratch", emptyDir: {} },
      { name: "fresh", emptyDir: {} },
      { name: "conf", configMap: { name: "x" } },
    ],
  },
});

test("figures come to their pod by UID; of volumes only emptyDirs count, and only where they are counted already", () => {
  const id = (podUID: string) => ({ podUID, container: "c", attempt: 1 });
  const used = new Map([["/pods/a/emptydirs/scratch", 42]]);
  const stats = podStats(
    [pod("a"), pod("b")],
    [
      { id: id("a"), time: 1, cpuNanoseconds: 5 },
      { id: id("gone"), time: 1 },
    ],
    ({ metadata }) => `/pods/${metadata?.uid}`,
    { of: () => used },
  );
  expect(stats).toEqual([
    {
      pod: { namespace: "ns", name: "a", uid: "a" },
      containers: [{ name: "c", time: 1, cpuNanoseconds: 5 }],
      volumes: [{ name: "scratch", usedBytes: 42 }],
    },
    { pod: { namespace: "ns", name: "b", uid: "b" }, containers: [], volumes: [] },
  ]);
});
