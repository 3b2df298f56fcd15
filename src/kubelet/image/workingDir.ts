import { stat } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { HostletError } from "../../errors.ts";
import type { ContainerMount } from "../../runtimes/contract.ts";

/**
 * Where a path that a container names is on this host, where mountPaths are not real: at or below a mountPath it is in
 * that mount's source (the deepest mount counts; `data` and `/data` are the same place, as on the kubelet); else an
 * absolute path is the host's, and a relative one is in the container's directory.
 */
export function hostPathOf(path: string, mounts: ContainerMount[], containerDir: string): string {
  const wanted = resolve("/", path);
  let deepest: { place: string; path: string } | undefined;
  for (const { mountPath, source } of mounts) {
    const place = resolve("/", mountPath);
    const below = relative(place, wanted);
    if (below === ".." || below.startsWith("../")) continue;
    if (!deepest || place.length > deepest.place.length) deepest = { place, path: join(source, below) };
  }
  return deepest?.path ?? resolve(containerDir, path);
}

/** Where a file of this host is in a container whose mountPaths are real: the other way round. */
export function pathInContainer(path: string, mounts: ContainerMount[]): string {
  const mount = mounts.find(({ source }) => path === source || path.startsWith(`${source}/`));
  return mount ? join("/", mount.mountPath, relative(mount.source, path)) : path;
}

/**
 * The directory that a container starts in; its own where it asks for none.
 * @throws {HostletError} CreateContainerFailed with reason CreateContainerError where there is no such directory
 */
export async function resolveWorkingDir(
  workingDir: string | undefined,
  mounts: ContainerMount[],
  containerDir: string,
): Promise<string> {
  if (!workingDir) return containerDir;
  const path = hostPathOf(workingDir, mounts, containerDir);
  const found = path.includes("\0") ? undefined : await stat(path).catch(() => undefined);
  if (found?.isDirectory()) return path;
  const where = path === workingDir ? "" : ` (${path})`;
  const problem = found ? "is not a directory" : "does not exist on this host";
  throw new HostletError("CreateContainerFailed", `workingDir ${JSON.stringify(workingDir)}${where} ${problem}`, {
    reason: "CreateContainerError",
  });
}
