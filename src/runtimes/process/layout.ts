import { closeSync, fsync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { HostletError } from "../../errors.ts";
import { removeTreeSync } from "../../removeTree.ts";
import type { ContainerID } from "../contract.ts";
import { type ExitRecord, formatExit, parseExit } from "./exits.ts";

/** Where everything of one attempt is. */
export interface AttemptPaths {
  id: ContainerID;
  /** `<uid>_<container>_<attempt>`: names the exit file and is the containerID. */
  name: string;
  /** The shim's own directory, with the log. One level, as each directory costs a pod's start a part of a millisecond. */
  dir: string;
  exitFile: string;
}

const safeName = /^[A-Za-z0-9][A-Za-z0-9.-]*$/;

export function exitsDir(stateDir: string): string {
  return join(stateDir, "exits");
}

/** @throws {HostletError} CreateContainerFailed where a part of the id could not be the name of a file */
export function attemptPaths(stateDir: string, id: ContainerID): AttemptPaths {
  for (const part of [id.podUID, id.container, String(id.attempt)]) {
    if (!safeName.test(part)) {
      throw new HostletError(
        "CreateContainerFailed",
        `${JSON.stringify(part)} can't be part of a container's id: use letters, digits, "." and "-" only`,
      );
    }
  }
  if (!Number.isSafeInteger(id.attempt) || id.podUID.length + id.container.length > 230) {
    throw new HostletError(
      "CreateContainerFailed",
      `the id of container ${id.container} is too long, or its attempt no whole number`,
    );
  }
  const name = `${id.podUID}_${id.container}_${id.attempt}`;
  const dir = join(stateDir, "pods", id.podUID, "attempts", `${id.container}.${id.attempt}`);
  return { id, name, dir, exitFile: join(exitsDir(stateDir), name) };
}

/** Undefined where there is none. One that can't be understood is an end of which nothing is known. */
export function readExitFile(paths: AttemptPaths): ExitRecord | "unreadable" | undefined {
  let text: string;
  try {
    text = readFileSync(paths.exitFile, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return parseExit(text) ?? "unreadable";
}

/** Written as the shim writes it: nobody sees half of it, and it outlives a crash of the host. */
export function writeExitFile(paths: AttemptPaths, record: ExitRecord): Promise<void> {
  return writeDurably(join(paths.dir, "exit.agent"), paths.exitFile, formatExit(record));
}

const sync = promisify(fsync);

/**
 * Only the fsync is asynchronous: it takes as long as the disk is busy, everything else some microseconds.
 * @param draft in the same file system as `file`
 */
export async function writeDurably(draft: string, file: string, text: string): Promise<void> {
  const fd = openSync(draft, "w", 0o600);
  try {
    writeSync(fd, text);
    await sync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(draft, file);
}

/** @throws {HostletError} CreateContainerFailed where this attempt was made before */
export function makeAttemptDir(paths: AttemptPaths): void {
  mkdirSync(dirname(paths.dir), { recursive: true, mode: 0o700 });
  try {
    mkdirSync(paths.dir, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new HostletError("CreateContainerFailed", `attempt ${paths.name} was made before and is never made twice`, {
      cause: error,
    });
  }
}

/**
 * Removes all of an attempt. The directory goes first: an exit file without a directory is swept up at recovery, but a
 * directory without its exit file would be a container whose end nobody knows.
 */
export function removeAttempt(paths: AttemptPaths): void {
  removeTreeSync(paths.dir);
  rmSync(paths.exitFile, { force: true });
}
