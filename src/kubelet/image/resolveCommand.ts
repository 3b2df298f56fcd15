import { posix } from "node:path";
import { HostletError } from "../../errors.ts";
import type { Container } from "../../kube/types.ts";
import type { ContainerMount } from "../../runtimes/contract.ts";
import { expand, expandArgs, lookupIn } from "../env/expansion.ts";
import { longestArgument } from "../env/resolveEnv.ts";
import type { VolumeKind } from "../volumes/kinds.ts";
import { toPublicPath } from "../volumes/paths.ts";
import { findImage, type ImageTableEntry } from "./imageTable.ts";
import { jobsCommand } from "./jobsDriver.ts";
import { filesIn, type HostFiles, hostFiles, jobsAmong } from "./scripts.ts";
import { hostPathOf, pathInContainer } from "./workingDir.ts";

export interface CommandRequest {
  container: Container;
  mounts: ContainerMount[];
  /** The kind of each of the pod's volumes, by name (`PodVolumes.sources`). */
  volumes: ReadonlyMap<string, { kind: VolumeKind }>;
  /** As `resolveEnv` gives them. */
  variables: Readonly<Record<string, string>>;
  env: Readonly<Record<string, string>>;
  imageTable: readonly ImageTableEntry[];
  /** Compatibility mode: a one-element command with white space that is no file is a shell line. */
  compat: boolean;
  podDir: string;
  /** What the container starts in where nothing else is asked for, absolute: a command of one word may be a file there. */
  containerDir: string;
  /** Where users find `podDir`: scripts are run by their path below it. Undefined: by their real path. */
  publicDir?: string | undefined;
  /** mountPaths are real: scripts are run by their path in the container. */
  realMounts?: boolean;
  files?: HostFiles;
}

export interface ResolvedCommand {
  /** Never empty. */
  argv: string[];
  /** The container's whole environment: that of the request, with the image table's entry beneath the pod's own variables. */
  env: Record<string, string>;
  /** Of the image table's entry: the working directory of a container that names none. */
  workingDir?: string;
  /**
   * What `image` came to: the script of a volume of that name, job files, a program on the host, an entry of the image
   * table, or nothing.
   */
  usesImage: "script" | "jobs" | "program" | "table" | "none";
  /** For an Event, where the pod's author may expect something else. */
  message?: string;
}

/** Volumes whose files are their author's own words, and so may be meant as scripts. An emptyDir or the host's files are data. */
const scriptKinds: readonly VolumeKind[] = ["configMap", "secret", "projected"];

/**
 * What a container runs, on a host without images: docs/decisions/0041-image-resolution.md.
 * @throws {HostletError} with reason ErrImagePull where there is nothing to run (PodInvalid), or no telling which file of a
 *   volume (CreateContainerFailed); PodInvalid with reason CreateContainerError where an argument is longer than Linux takes
 */
export async function resolveCommand(request: CommandRequest): Promise<ResolvedCommand> {
  const resolved = await resolve(request);
  const tooLong = resolved.argv.findIndex((argument) => Buffer.byteLength(argument) >= longestArgument);
  if (tooLong >= 0) {
    const message = `argument ${tooLong} of container "${request.container.name}" is longer than the ${longestArgument} bytes that Linux takes: mount it as a file`;
    throw new HostletError("PodInvalid", message, { reason: "CreateContainerError" });
  }
  return resolved;
}

async function resolve(request: CommandRequest): Promise<ResolvedCommand> {
  const { container, mounts, volumes, variables, imageTable, files = hostFiles } = request;
  const env = { ...request.env };
  const image = container.image ?? "";
  const { command, args } = expandArgs(container, variables);
  const scriptMounts = mounts.filter((mount) => scriptKinds.includes(volumes.get(mount.volume)?.kind ?? "emptyDir"));

  const sameName = scriptMounts.filter((mount) => mount.volume === image);
  const chosen = sameName.length > 0 ? scriptsOf(image, await filesIn(sameName, files)) : undefined;
  const scripts = (chosen ?? jobsAmong(await filesIn(scriptMounts, files))).map((path) =>
    request.realMounts ? pathInContainer(path, mounts) : toPublicPath(path, request.podDir, request.publicDir),
  );
  if (scripts.length > 0) {
    const interpreter = command.length > 0 ? command : ["bash"];
    const [only] = scripts;
    const argv = scripts.length === 1 ? [...interpreter, only!, ...args] : jobsCommand(interpreter, scripts, args);
    return { argv, env, usesImage: chosen ? "script" : "jobs" };
  }

  const entry = image.startsWith("/") ? undefined : findImage(imageTable, image);
  const isFile = (program: string) => files.isFile(programPath(program, entry?.workingDir, request));
  const given = await asGiven(command, args, request.compat, isFile);
  if (image.startsWith("/")) {
    if (given)
      return { argv: given, env, usesImage: "none", message: `image "${image}" is not run: command overrides it` };
    return { argv: [image, ...args], env, usesImage: "program" };
  }

  if (entry) {
    const argv = given ?? [...(entry.entrypoint ?? []), ...(args.length > 0 ? args : (entry.command ?? []))];
    if (argv.length === 0) throw nothingToRun(container, `its entry in the node's image table names no program`);
    const resolved: ResolvedCommand = { argv, env: withEntry(entry, request), usesImage: "table" };
    if (entry.workingDir !== undefined) resolved.workingDir = entry.workingDir;
    return resolved;
  }

  if (given) {
    if (image === "") return { argv: given, env, usesImage: "none" };
    const message = `image "${image}" is not used: this node has no images, the command is looked up on the host`;
    return { argv: given, env, usesImage: "none", message };
  }
  throw nothingToRun(container, "this node has no images, and the container gives no command");
}

/**
 * @returns the one file; or of several the jobs
 * @throws {HostletError} CreateContainerFailed where that leaves none: the volume's object may change
 */
function scriptsOf(volume: string, paths: string[]): string[] {
  if (paths.length === 1) return paths;
  const jobs = jobsAmong(paths);
  if (jobs.length > 0) return jobs;
  const message =
    paths.length === 0
      ? `volume "${volume}", which the image names, holds no script: put one into it`
      : `volume "${volume}", which the image names, holds several files, and which to run is not clear: ${paths.join(", ")}. Keep one, or name those to run *.job`;
  throw new HostletError("CreateContainerFailed", message, { reason: "ErrImagePull" });
}

/** Undefined: there is no command. */
async function asGiven(
  command: string[],
  args: string[],
  compat: boolean,
  isFile: (path: string) => Promise<boolean>,
): Promise<string[] | undefined> {
  const [first, ...rest] = command;
  if (first === undefined) return undefined;
  const isLine = compat && rest.length === 0 && /\s/.test(first) && !(await isFile(first));
  return isLine ? ["bash", "-c", first, "bash", ...args] : [...command, ...args];
}

/** Where a program is that a command names by its path. Mounts stand in the container's directory only once it starts. */
function programPath(path: string, entryDir: string | undefined, request: CommandRequest): string {
  const { container, mounts, containerDir } = request;
  if (posix.isAbsolute(path)) return path;
  const workingDir = container.workingDir || entryDir;
  if (!workingDir) return hostPathOf(path, mounts, containerDir);
  return posix.resolve(hostPathOf(workingDir, mounts, containerDir), path);
}

/** `$(NAME)` in an entry's values is the variable that the container would have without the entry. */
function withEntry(entry: ImageTableEntry, { env, variables }: CommandRequest): Record<string, string> {
  const lookup = lookupIn(env);
  const own = Object.entries(entry.env ?? {}).map(([name, value]) => [name, expand(value, lookup)]);
  return { ...env, ...Object.fromEntries(own), ...variables };
}

function nothingToRun({ name, image }: Container, why: string): HostletError {
  return new HostletError(
    "PodInvalid",
    `container "${name}" has nothing to run for image "${image}": ${why}. Give it a command, mount a ConfigMap volume named "${image}" with a script in it, or set image to the absolute path of a program on the host`,
    { reason: "ErrImagePull" },
  );
}
