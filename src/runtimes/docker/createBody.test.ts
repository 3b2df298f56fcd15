import { expect, test } from "vitest";
import type { ContainerSpec } from "../contract.ts";
import { createBody } from "./createBody.ts";

const spec: ContainerSpec = {
  id: { podUID: "u-1", container: "c", attempt: 2 },
  ...{ namespace: "default", podName: "p", restartCount: 1, argv: ["sh", "-c", "x $HOME"], env: { A: "a=b\nc" } },
  ...{ dir: "/d", mounts: [], stdin: false, tty: false, image: { id: "app@sha256:12" } },
};
const options = { node: "n", network: "host", logs: { maxBytes: 10, maxFiles: 3 } };
const host = (about: Partial<ContainerSpec>, more = {}) =>
  createBody({ ...spec, ...about }, { ...options, ...more }).HostConfig as Record<string, unknown>;

test("command and environment go as they are, and the image's own command not at all", () => {
  expect(createBody(spec, options)).toMatchObject({
    ...{ Image: "app@sha256:12", Entrypoint: ["sh", "-c", "x $HOME"], Cmd: [], Env: ["A=a=b\nc"] },
    Labels: {
      "dev.hostlet.node": "n",
      "dev.hostlet.attempt": "2",
      "dev.hostlet.restart-count": "1",
      "io.kubernetes.pod.uid": "u-1",
      "io.kubernetes.container.name": "c",
    },
    Healthcheck: { Test: ["NONE"] },
  });
});

test.each<[string, Partial<ContainerSpec>, Record<string, unknown>]>([
  [
    "a limit of CPU is a quota, and the shares where nothing is requested",
    { resources: { cpuLimitMillis: 500 } },
    { CpuShares: 512, CpuPeriod: 100_000, CpuQuota: 50_000 },
  ],
  [
    "a request of CPU is shares",
    { resources: { cpuRequestMillis: 250, cpuLimitMillis: 2000 } },
    { CpuShares: 256, CpuQuota: 200_000 },
  ],
  [
    "less than the kernel takes becomes the least",
    { resources: { cpuRequestMillis: 1, cpuLimitMillis: 1 } },
    { CpuShares: 2, CpuQuota: 1000 },
  ],
  [
    "a limit of memory allows no swap beside it",
    { resources: { memoryLimitBytes: 1 << 20 } },
    { Memory: 1 << 20, MemorySwap: 1 << 20 },
  ],
  [
    "capabilities keep Kubernetes' names",
    { security: { capabilities: { add: ["NET_ADMIN"], drop: ["ALL"] } } },
    { CapAdd: ["NET_ADMIN"], CapDrop: ["ALL"] },
  ],
  ["allowPrivilegeEscalation: false", { security: { noNewPrivileges: true } }, { SecurityOpt: ["no-new-privileges"] }],
  [
    "a read-only root, privileged, groups",
    { security: { readOnlyRootFilesystem: true, privileged: true, groups: [5, 6] } },
    { ReadonlyRootfs: true, Privileged: true, GroupAdd: ["5", "6"] },
  ],
])("%s", (_what, about, expected) => {
  expect(host(about)).toMatchObject(expected);
});

test("a mount is a bind without a colon's meaning, and a relative one is from the root", () => {
  const mounts = [{ volume: "v", source: "/a:b", mountPath: "data/../x:y", readOnly: true }];
  expect(host({ mounts }).Mounts).toEqual([
    { Type: "bind", Source: "/a:b", Target: "/x:y", ReadOnly: true, BindOptions: { Propagation: "rprivate" } },
  ]);
});

test("the user has the group that is asked for", () => {
  expect(createBody({ ...spec, security: { uid: 7 } }, options).User).toBe("7");
  expect(createBody({ ...spec, security: { uid: 7, gid: 8 } }, options).User).toBe("7:8");
});

test("a pod's own network is that of its pause container, with its IPC", () => {
  expect(host({}, { network: "container:abc" })).toMatchObject({
    NetworkMode: "container:abc",
    IpcMode: "container:abc",
  });
  expect(host({})).toMatchObject({ NetworkMode: "host" });
});
