import { describe, expect, it } from "vitest";
import type { ContainerSpec } from "../../contract.ts";
import { mountsInOrder, sandboxArguments } from "./sandboxArguments.ts";

const base: ContainerSpec = {
  id: { podUID: "u", container: "c", attempt: 0 },
  ...{ namespace: "n", podName: "p", restartCount: 0, argv: ["x"], env: {}, dir: "/s/pods/u/containers/c" },
  ...{ mounts: [], stdin: false, tty: false },
};
const plan = (spec: Partial<ContainerSpec>, userNamespace = false) => ({
  spec: { ...base, ...spec },
  workDir: "/w",
  user: { uid: 5, gid: 6, groups: [6, 7], home: "/h" },
  ...{ userNamespace, hide: ["/s"], cgroups: ["/cg"] },
});

describe("the arguments of hostlet-sandbox", () => {
  it("for the host's root hide the node's own, and put the container's directory in its place", () => {
    expect(sandboxArguments(plan({ hostname: "web" })).join(" ")).toBe(
      "run --work /w --uid 5 --gid 6 --caps a80425fb --cwd /s/pods/u/containers/c --groups 6,7 --cgroup /cg " +
        "--hostname web --hide /s --bind /s/pods/u/containers/c /s/pods/u/containers/c",
    );
  });

  it("for an image name its root filesystem, start in / and know a home", () => {
    const spec = { image: { id: "i", rootfs: "/images/i" }, security: { readOnlyRootFilesystem: true } };
    expect(sandboxArguments(plan(spec)).join(" ")).toBe(
      "run --work /w --uid 5 --gid 6 --caps a80425fb --cwd / --home /h --groups 6,7 --cgroup /cg " +
        "--read-only --rootfs /images/i",
    );
  });

  it("for an ordinary user have a user namespace in place of groups", () => {
    const args = sandboxArguments(plan({ security: { noNewPrivileges: true } }, true));
    expect(args).toContain("--user-ns");
    expect(args).toContain("--no-new-privs");
    expect(args).not.toContain("--groups");
  });

  it("name mounts from the outside in", () => {
    const mount = (mountPath: string, more = {}) => ({
      volume: "v",
      source: mountPath,
      mountPath,
      readOnly: false,
      ...more,
    });
    const mounts = [
      mount("/a/b/c", { readOnly: true }),
      mount("data"),
      mount("/a"),
      mount("/a/b", { tmpfs: "size=1" }),
    ];
    const spec = { ...base, image: { id: "i", rootfs: "/r" }, mounts };
    expect(mountsInOrder(spec).map(({ mountPath }) => mountPath)).toEqual(["/data", "/a", "/a/b", "/a/b/c"]);
    expect(sandboxArguments(plan(spec)).slice(-11)).toEqual(
      "--bind data /data --bind /a /a --tmpfs size=1 /a/b --ro-bind /a/b/c /a/b/c".split(" ").slice(-11),
    );
  });
});
