import type { Stats } from "node:fs";
import { mkdir, open, stat } from "node:fs/promises";
import { isAbsolute, normalize } from "node:path";
import { HostletError } from "../../errors.ts";
import type { HostPathVolumeSource } from "../../kube/types.ts";
import { pathProblem } from "./paths.ts";

const checks: Record<string, { what: string; is(stats: Stats): boolean }> = {
  Directory: { what: "directory", is: (stats) => stats.isDirectory() },
  File: { what: "file", is: (stats) => stats.isFile() },
  Socket: { what: "socket file", is: (stats) => stats.isSocket() },
  CharDevice: { what: "character device", is: (stats) => stats.isCharacterDevice() },
  BlockDevice: { what: "block device", is: (stats) => stats.isBlockDevice() },
};

/**
 * Checks the path as its type asks, and makes what `DirectoryOrCreate` (0755) and `FileOrCreate` (0644) make. Without a
 * type, a missing path becomes a directory, as container runtimes make it.
 * @returns the path, normalised
 * @throws {HostletError} PodInvalid for a path that can't be, CreateContainerFailed with the kubelet's message for one
 *   that isn't what it should be
 */
export async function prepareHostPath(source: HostPathVolumeSource): Promise<string> {
  const problem = isAbsolute(source.path) ? pathProblem(source.path) : "must be an absolute path";
  if (problem) throw new HostletError("PodInvalid", `invalid HostPath \`${source.path}\`: ${problem}`);
  const path = normalize(source.path);
  const { type = "" } = source;
  const present = await stat(path).catch(() => undefined);
  if (!present && (type === "" || type === "DirectoryOrCreate")) {
    await make(path, () => mkdir(path, { recursive: true, mode: 0o755 }));
    return path;
  }
  if (!present && type === "FileOrCreate") {
    await make(path, async () => (await open(path, "a", 0o644)).close());
    return path;
  }
  if (type === "") return path;
  const check = checks[type.replace(/OrCreate$/, "")];
  if (!check) throw new HostletError("PodInvalid", `${type} is an invalid volume type`);
  if (!present || !check.is(present)) {
    throw new HostletError("CreateContainerFailed", `hostPath type check failed: ${path} is not a ${check.what}`);
  }
  return path;
}

async function make(path: string, action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new HostletError("CreateContainerFailed", `hostPath ${path} does not exist and can't be made: ${code}`, {
      cause,
    });
  }
}
