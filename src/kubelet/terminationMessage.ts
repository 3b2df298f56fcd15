import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, posix } from "node:path";
import { type Clock, sleep } from "../clock.ts";
import { unlessAborted } from "../kube/abort.ts";
import type { Container } from "../kube/types.ts";
import type { ContainerID, ContainerMount, ContainerRuntime, RuntimeContainer } from "../runtimes/contract.ts";
import type { PodPaths } from "./podFiles.ts";

/** The kubelet's limits: of the file its end; of the log, where there is nothing in the file, its last lines. */
const longestMessage = 4096;
const longestLogMessage = 2048;
const mostLogLines = 80;
/** A log that can't be read sooner is left out of the message: the container's end is not news that can wait. */
const logDeadlineMs = 2000;
const defaultPath = "/dev/termination-log";
const volume = "termination-log";

function fileOf(podDir: string, { container, attempt }: Pick<ContainerID, "container" | "attempt">): string {
  return join(podDir, volume, `${container}.${attempt}`);
}

/** What a container needs to leave a message at its end. */
export interface TerminationLog {
  mounts: ContainerMount[];
  env: Record<string, string>;
}

/**
 * Makes the file of one start, for whatever user it runs as. Where a volume is mounted over the message's path or around it, the
 * file is not mounted, and known by its variable alone.
 * @param ownRoot the container has a root file system of its own, where a mountPath is a path
 */
export function makeTerminationLog(
  { dir, publicDir }: PodPaths,
  id: ContainerID,
  { terminationMessagePath = defaultPath, name }: Container,
  mounts: readonly ContainerMount[],
  ownRoot: boolean,
): TerminationLog {
  if (terminationMessagePath === "") return { mounts: [], env: {} };
  const file = fileOf(dir, id);
  mkdirSync(join(dir, volume), { recursive: true, mode: 0o755 });
  writeFileSync(file, "", { mode: 0o666 });
  chmodSync(file, 0o666);
  if (mounts.some((mount) => isAround(mount.mountPath, terminationMessagePath))) {
    return { mounts: [], env: { HOSTLET_TERMINATION_LOG: file } };
  }
  const seen = ownRoot ? terminationMessagePath : join(publicDir, "containers", name, terminationMessagePath);
  return {
    mounts: [{ volume, source: file, mountPath: terminationMessagePath, readOnly: false }],
    env: { HOSTLET_TERMINATION_LOG: seen },
  };
}

/** One of the two is below the other, or both are the same. */
function isAround(mountPath: string, path: string): boolean {
  const [a, b] = [mountPath, path].map((p) => `${posix.resolve("/", p)}/`.replace("//", "/")) as [string, string];
  return a.startsWith(b) || b.startsWith(a);
}

export function removeTerminationLog(podDir: string, id: ContainerID): void {
  rmSync(fileOf(podDir, id), { force: true });
}

/**
 * A container that has ended, with what it left as its message.
 * @param signal of the agent's leaving
 */
export async function withTerminationMessage(
  ended: RuntimeContainer,
  spec: Container,
  { dir }: PodPaths,
  { runtime, clock }: { runtime: ContainerRuntime; clock: Clock },
  signal: AbortSignal,
): Promise<RuntimeContainer> {
  const { exit } = ended;
  if (!exit || exit.reason === "ContainerCannotRun") return ended;
  let message = readEnd(fileOf(dir, ended.id));
  if (message === "" && spec.terminationMessagePolicy === "FallbackToLogsOnError" && exit.exitCode !== 0) {
    message = await endOfLog(runtime, ended.id, clock, signal);
  }
  if (!message) return ended;
  return { ...ended, exit: { ...exit, message: exit.message ? `${exit.message}: ${message}` : message } };
}

/** Whatever the container has made of its file: a link isn't followed, a pipe isn't waited for. */
function readEnd(file: string): string {
  let fd: number | undefined;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile()) return "";
    const buffer = Buffer.alloc(longestMessage);
    const length = readSync(fd, buffer, 0, longestMessage, Math.max(0, stat.size - longestMessage));
    return buffer.toString("utf8", 0, length);
  } catch {
    return "";
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

async function endOfLog(
  runtime: ContainerRuntime,
  id: ContainerID,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  const abort = new AbortController();
  const read = async () => {
    let end = Buffer.alloc(0);
    const options = { follow: false, previous: false, timestamps: false, tailLines: mostLogLines };
    for await (const chunk of runtime.logs(id, options, abort.signal)) {
      end = Buffer.concat([end, chunk]);
      end = end.subarray(Math.max(0, end.length - longestLogMessage));
    }
    return end.toString();
  };
  const late = sleep(clock, logDeadlineMs, abort.signal).then(() => "");
  try {
    return await unlessAborted(Promise.race([read(), late]), signal);
  } catch {
    return "";
  } finally {
    abort.abort();
    late.catch(() => {});
  }
}
