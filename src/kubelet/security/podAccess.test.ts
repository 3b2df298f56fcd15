import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { Container, Pod, PodSpec } from "../../kube/types.ts";
import { checkReachable, openPodDirectory, podAccess } from "./podAccess.ts";

const as = (name: string, runAsUser?: number, volumes: string[] = []): Container => ({
  name,
  ...(runAsUser !== undefined && { securityContext: { runAsUser } }),
  volumeMounts: volumes.map((volume) => ({ name: volume, mountPath: volume })),
});
const pod = (containers: Container[], more: Partial<PodSpec> = {}): Pod => ({
  metadata: { uid: "u-1" },
  spec: { volumes: [{ name: "s" }], ...more, containers },
});

const root = { uid: 0, gid: 0, groups: [], capabilities: new Set(["CHOWN", "SETGID"]) };

describe("a pod's own group", () => {
  test("is not needed where all containers run as the agent", () => {
    const access = podAccess(pod([as("a"), as("b", 0, ["s"])]), root);
    expect(access.gid).toBeUndefined();
    expect(access.secretGroup("s")).toBeUndefined();
  });

  test("can't be given by an ordinary agent, whose sandboxes have no other users on this host", () => {
    const user = { uid: 1000, gid: 100, groups: [], capabilities: new Set<string>() };
    const access = podAccess(pod([as("a", 7)], { securityContext: { fsGroup: 99 } }), user);
    expect([access.gid, access.fsGroup]).toEqual([undefined, undefined]);
    expect(podAccess(pod([as("a")], { securityContext: { fsGroup: 100 } }), user).fsGroup).toBe(100);
  });

  test("is the same for every agent, another for another pod, and in a range that nobody uses", () => {
    const { gid } = podAccess(pod([as("a", 7)]), root);
    expect(podAccess(pod([as("b", 8)]), root).gid).toBe(gid);
    expect(podAccess({ ...pod([as("a", 7)]), metadata: { uid: "u-2" } }, root).gid).not.toBe(gid);
    expect(gid).toBeGreaterThanOrEqual(0x7000_0000);
    expect(gid).toBeLessThan(0x8000_0000);
  });

  test("reads the secrets that all of the pod mount; others have a group of their own", () => {
    const [a, b] = [as("a", 7, ["s"]), as("b", 8, ["s"])];
    const both = podAccess(pod([a, b]), root);
    expect(both.secretGroup("s")).toBe(both.gid);
    const other = as("b", 8);
    const one = podAccess(pod([a, other]), root);
    expect(one.secretGroup("s")).not.toBe(one.gid);
    expect(one.groupsOf(a)).toEqual([one.gid, one.secretGroup("s")]);
    expect(one.groupsOf(other)).toEqual([one.gid]);
  });

  test("gives way to fsGroup in what the volumes hold", () => {
    const access = podAccess(pod([as("a", 7, ["s"])], { securityContext: { fsGroup: 99 } }), root);
    expect(access.secretGroup("s")).toBe(99);
    expect(access.gid).not.toBe(99);
  });
});

describe("the pod's directory", () => {
  const base = mkdtempSync(join(tmpdir(), "hostlet-access-"));
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  test("lets its own group pass, and nobody else in; those above let pass and show nothing", () => {
    const dir = join(base, "state", "pods", "u-1");
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const gid = process.getgid?.() ?? 0;
    openPodDirectory(
      { dir, publicDir: "" },
      { gid, fsGroup: undefined, secretGroup: () => gid, groupsOf: () => [gid] },
    );
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect([dir, join(base, "state", "pods"), join(base, "state")].map(mode)).toEqual([0o710, 0o711, 0o711]);
    const { uid } = statSync(base);
    expect(() => checkReachable([dir], { uid, groups: [] })).not.toThrow();
    expect(() => checkReachable([dir], { uid: uid + 1, groups: [] })).toThrow(`${dir} is closed to it`);
  });
});
