import { posix } from "node:path";
import { HostletError } from "../../errors.ts";
import type { Container, VolumeMount } from "../../kube/types.ts";
import type { ContainerMount } from "../../runtimes/contract.ts";
import { expand } from "../env/expansion.ts";
import type { VolumeKind } from "./kinds.ts";
import { pathProblem } from "./paths.ts";
import { resolveSubPath } from "./subPath.ts";

/** A volume that stands ready on this host. */
export interface PreparedVolume {
  /** Absolute: a directory; or for hostPath whatever its path is. */
  path: string;
  kind: VolumeKind;
  /** Written by hostlet alone: no mount of it is writable. */
  readOnly: boolean;
  /** A file system in memory, that is full at the volume's sizeLimit. */
  inMemory?: boolean;
}

/**
 * The mounts of a container, with missing subPath directories made.
 * @param variables what `$(NAME)` in a subPathExpr refers to (`ResolvedEnv.variables`)
 * @throws {HostletError} with reason CreateContainerConfigError. PodInvalid: only another pod would help;
 *   CreateContainerFailed: a subPath can't be had now
 */
export async function resolveMounts(
  container: Container,
  volumes: ReadonlyMap<string, PreparedVolume>,
  variables: Readonly<Record<string, string>>,
): Promise<ContainerMount[]> {
  const taken = new Map<string, string>();
  const mounts: ContainerMount[] = [];
  for (const mount of container.volumeMounts ?? []) {
    const { name, mountPath } = mount;
    const problem = mountPath === "" ? "must not be empty" : pathProblem(mountPath);
    if (problem) throw invalid(container, `mountPath "${mountPath}" of volume "${name}": ${problem}`);
    const place = posix.normalize(mountPath).replace(/(?<=.)\/$/, "");
    const other = taken.get(place);
    if (other !== undefined) {
      throw invalid(container, `mountPath "${mountPath}" must be unique: volumes "${other}" and "${name}" have it`);
    }
    taken.set(place, name);
    const volume = volumes.get(name);
    if (!volume) throw invalid(container, `cannot find volume "${name}" to mount`);
    const subPath = wantedSubPath(container, mount, variables);
    const source = subPath === undefined ? volume.path : await subPathSource(container, mount, volume, subPath);
    mounts.push({ volume: name, source, mountPath, readOnly: mount.readOnly === true || volume.readOnly });
  }
  return mounts;
}

/** Normalised; undefined: the whole volume. */
function wantedSubPath(
  container: Container,
  mount: VolumeMount,
  variables: Readonly<Record<string, string>>,
): string | undefined {
  let subPath = mount.subPath ?? "";
  if (mount.subPathExpr) {
    const missing = new Set<string>();
    subPath = expand(mount.subPathExpr, (name) => {
      const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
      if (!value) missing.add(name);
      return value;
    });
    if (missing.size > 0) {
      const names = [...missing].sort().join(", ");
      throw invalid(container, `subPathExpr "${mount.subPathExpr}": missing value for ${names}`);
    }
  }
  if (subPath === "") return undefined;
  const problem = posix.isAbsolute(subPath) ? "must not be an absolute path" : pathProblem(subPath);
  if (problem) throw invalid(container, `subPath "${asWritten(mount)}" of volume "${mount.name}": ${problem}`);
  const normal = posix.normalize(subPath).replace(/\/$/, "");
  return normal === "." ? undefined : normal;
}

async function subPathSource(
  container: Container,
  mount: VolumeMount,
  volume: PreparedVolume,
  subPath: string,
): Promise<string> {
  if (volume.readOnly && subPath.startsWith("..")) {
    throw invalid(
      container,
      `subPath "${asWritten(mount)}" of volume "${mount.name}": names that begin with '..' are internal`,
    );
  }
  try {
    return await resolveSubPath(volume.path, subPath);
  } catch (cause) {
    const { code, message: why } = cause as NodeJS.ErrnoException;
    const message = `failed to prepare subPath "${asWritten(mount)}" for volumeMount "${mount.name}" of container "${container.name}": ${code ?? why}`;
    throw new HostletError("CreateContainerFailed", message, { cause, reason: "CreateContainerConfigError" });
  }
}

/** Not as it was expanded: a message never holds what may be a Secret's value. */
function asWritten({ subPath, subPathExpr }: VolumeMount): string {
  return subPathExpr || subPath || "";
}

function invalid(container: Container, what: string): HostletError {
  return new HostletError("PodInvalid", `container "${container.name}": ${what}`, {
    reason: "CreateContainerConfigError",
  });
}
