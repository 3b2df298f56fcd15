import { statSync } from "node:fs";
import type { ContainerSpec } from "../../contract.ts";
import { asUser } from "./asUser.ts";
import type { Launcher } from "./contract.ts";
import { findExecutable } from "./executable.ts";
import { linkMounts } from "./links.ts";

/** The host's own file system and network; each mountPath is a symlink under the container's directory. */
export const plainLauncher: Launcher = {
  name: "plain",
  async prepare(spec) {
    linkMounts(spec.dir, spec.mounts);
  },
  resolve(spec) {
    const workingDir = spec.workingDir ?? spec.dir;
    if (!isDirectory(workingDir)) {
      return {
        exitCode: 128,
        message: `workingDir ${workingDir} is not a directory on this host: create it there, or set another workingDir`,
      };
    }
    return findExecutable(spec.argv, ownPath(spec), workingDir);
  },
  wrap: (spec, executable) => asUser(spec.security, executable),
  enter(spec, argv) {
    const found = findExecutable(argv, ownPath(spec), spec.workingDir ?? spec.dir);
    return "exitCode" in found ? found : asUser(spec.security, found);
  },
};

function ownPath(spec: ContainerSpec): string | undefined {
  return Object.hasOwn(spec.env, "PATH") ? spec.env.PATH : undefined;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
