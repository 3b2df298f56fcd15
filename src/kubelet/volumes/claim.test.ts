import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { BoundClaim } from "../../kube/objectSource.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../kube/types.ts";
import { claimSource, prepareClaim } from "./claim.ts";
import { testObjects } from "./testObjects.ts";

const node = { name: "n1", labels: { "kubernetes.io/hostname": "n1", site: "a" } };
const claim = (more: Partial<PersistentVolumeClaim> = {}): PersistentVolumeClaim => ({
  metadata: { name: "c", uid: "c-uid" },
  spec: { volumeName: "pv", accessModes: ["ReadWriteOnce"] },
  status: { phase: "Bound" },
  ...more,
});
const volume = (spec: PersistentVolume["spec"]): PersistentVolume => ({ metadata: { name: "pv" }, spec: spec ?? {} });
const on = (key: string, ...values: string[]): NonNullable<PersistentVolume["spec"]> => ({
  local: { path: "/data" },
  nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator: "In", values }] }] } },
});

describe("a claim", () => {
  const bound: Record<string, [BoundClaim | undefined, unknown]> = {
    "of a hostPath volume is that path": [
      {
        claim: claim(),
        volume: volume({ hostPath: { path: "/data", type: "Directory" }, claimRef: { uid: "c-uid" } }),
      },
      { hostPath: { path: "/data", type: "Directory" } },
    ],
    "of a local volume of this node is that path": [
      { claim: claim(), volume: volume(on("kubernetes.io/hostname", "n0", "n1")) },
      { local: "/data" },
    ],
    "of a local volume by a label that is not known here is left to the scheduler": [
      { claim: claim(), volume: volume(on("topology.example.org/rack", "r1")) },
      { local: "/data" },
    ],
  };
  test.each(Object.entries(bound))("%s", (_name, [given, source]) => {
    expect(claimSource(given, "ns/c", node)).toEqual(source);
  });

  const refused: Record<string, [BoundClaim | undefined, string, RegExp]> = {
    "that does not exist is waited for": [undefined, "CreateContainerFailed", /^persistentvolumeclaim "c" not found$/],
    "that is not bound is waited for": [
      { claim: claim({ status: { phase: "Pending" } }) },
      "CreateContainerFailed",
      /^PVC ns\/c has non-bound phase \("Pending"\)/,
    ],
    "whose volume is missing is waited for": [
      { claim: claim() },
      "CreateContainerFailed",
      /^persistentvolume "pv" not found$/,
    ],
    "whose volume is another claim's is waited for": [
      { claim: claim(), volume: volume({ hostPath: { path: "/data" }, claimRef: { uid: "other" } }) },
      "CreateContainerFailed",
      /bound to another claim/,
    ],
    "of a local volume of another node is refused": [
      { claim: claim(), volume: volume(on("kubernetes.io/hostname", "n2")) },
      "PodInvalid",
      /is of another node/,
    ],
    "of a block device is refused": [
      { claim: claim(), volume: volume({ local: { path: "/dev/sdb" }, volumeMode: "Block" }) },
      "PodInvalid",
      /block device/,
    ],
    "of a volume of another type is refused, with its type": [
      { claim: claim(), volume: volume({ capacity: { storage: "1Gi" }, nfs: { server: "s", path: "/p" } }) },
      "PodInvalid",
      /is of type nfs/,
    ],
  };
  test.each(Object.entries(refused))("%s", (_name, [given, code, message]) => {
    expect(() => claimSource(given, "ns/c", node)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});

describe("a volume by claim", () => {
  const dir = mkdtempSync(join(tmpdir(), "hostlet-claim-"));
  afterAll(() => rmSync(dir, { recursive: true }));
  const prepare = (spec: PersistentVolume["spec"], readOnly = false, more: Partial<PersistentVolumeClaim> = {}) => {
    const objects = { ...testObjects(), claim: async () => ({ claim: claim(more), volume: volume(spec) }) };
    const persistentVolumeClaim = { claimName: "c", readOnly };
    const pod = { metadata: { namespace: "ns" }, spec: { containers: [] } };
    const signal = new AbortController().signal;
    return prepareClaim({ name: "v", persistentVolumeClaim }, { pod, objects, node, signal });
  };

  test("is the directory itself, writable unless the pod or the claim says otherwise", async () => {
    expect(await prepare({ local: { path: dir } })).toEqual({ path: dir, readOnly: false });
    expect(await prepare({ local: { path: dir } }, true)).toEqual({ path: dir, readOnly: true });
    const spec = { volumeName: "pv", accessModes: ["ReadOnlyMany"] };
    expect(await prepare({ local: { path: dir } }, false, { spec })).toEqual({ path: dir, readOnly: true });
  });

  test("has to be there where it is local, and an absolute path without '..'", async () => {
    await expect(prepare({ local: { path: join(dir, "none") } })).rejects.toThrow(/does not exist/);
    await expect(prepare({ local: { path: "relative" } })).rejects.toThrow(/must be an absolute path/);
    await expect(prepare({ local: { path: `${dir}/../..` } })).rejects.toThrow(/must not contain '..'/);
    await expect(prepare({ hostPath: { path: dir, type: "File" } })).rejects.toThrow(/hostPath type check failed/);
  });

  test("is refused by a source that has no claims", async () => {
    const pod = { spec: { containers: [] } };
    const context = { pod, objects: testObjects(), node, signal: new AbortController().signal };
    await expect(prepareClaim({ name: "v", persistentVolumeClaim: { claimName: "c" } }, context)).rejects.toThrow(
      /no persistent volumes/,
    );
  });
});
