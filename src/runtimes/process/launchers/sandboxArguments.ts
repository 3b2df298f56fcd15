import { posix } from "node:path";
import type { ContainerMount, ContainerSpec } from "../../contract.ts";
import { capabilityMask } from "./capabilities.ts";
import type { SandboxUser } from "./sandboxUser.ts";

export interface SandboxPlan {
  spec: ContainerSpec;
  /** Of hostlet-sandbox alone; it makes it. */
  workDir: string;
  user: SandboxUser;
  /** Without root's rights: in a user namespace, where one user is all that there is. */
  userNamespace: boolean;
  /** What the container must not see of the host where its root is the host's. */
  hide: readonly string[];
  /** Directories of cgroups that it joins. */
  cgroups: readonly string[];
}

/** Where the container starts, in its own root. */
export function workingDirIn({ workingDir, image, dir }: ContainerSpec): string {
  return posix.resolve("/", workingDir ?? (image?.rootfs === undefined ? dir : "/"));
}

/** The mounts as they have to be made: outer before inner, the container's own directory first where its root is the host's. */
export function mountsInOrder({ image, dir, mounts }: ContainerSpec): ContainerMount[] {
  const own: ContainerMount[] =
    image?.rootfs === undefined ? [{ volume: "", source: dir, mountPath: dir, readOnly: false }] : [];
  const placed = [...own, ...mounts].map((mount) => ({ ...mount, mountPath: posix.resolve("/", mount.mountPath) }));
  return placed.sort((a, b) => depth(a.mountPath) - depth(b.mountPath));
}

function depth(path: string): number {
  return path.split("/").length;
}

/** Who the program is and where it starts: for `run` and for `enter`. */
export function programArguments({
  spec,
  user,
  userNamespace,
  cgroups,
}: Omit<SandboxPlan, "workDir" | "hide">): string[] {
  const { security } = spec;
  const privileged = security?.privileged === true;
  const args = ["--uid", String(user.uid), "--gid", String(user.gid)];
  args.push("--caps", capabilityMask(security?.capabilities, privileged), "--cwd", workingDirIn(spec));
  if (spec.image?.rootfs !== undefined) args.push("--home", user.home);
  if (userNamespace) args.push("--user-ns");
  else if (user.groups.length > 0) args.push("--groups", user.groups.join(","));
  if (privileged) args.push("--privileged");
  if (security?.noNewPrivileges) args.push("--no-new-privs");
  for (const cgroup of cgroups) args.push("--cgroup", cgroup);
  return args;
}

/** Of `hostlet-sandbox run`, up to the program: shim/sandbox.md. */
export function sandboxArguments(plan: SandboxPlan): string[] {
  const { spec, workDir, hide } = plan;
  const rootfs = spec.image?.rootfs;
  const args = ["run", "--work", workDir, ...programArguments(plan)];
  if (spec.hostname !== undefined) args.push("--hostname", spec.hostname);
  if (spec.networkNamespace !== undefined) args.push("--netns", spec.networkNamespace);
  if (spec.security?.readOnlyRootFilesystem) args.push("--read-only");
  if (rootfs !== undefined) args.push("--rootfs", rootfs);
  else for (const path of hide) args.push("--hide", path);
  for (const { source, mountPath, readOnly, tmpfs } of mountsInOrder(spec)) {
    if (tmpfs !== undefined) args.push("--tmpfs", tmpfs, mountPath);
    else args.push(readOnly ? "--ro-bind" : "--bind", source, mountPath);
  }
  return args;
}
