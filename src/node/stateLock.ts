import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HostletError } from "../errors.ts";
import { isAlive, ownIdentity, type ProcessIdentity } from "../runtimes/process/identity.ts";

/** Who holds a lock, as its file says. */
export interface LockOwner extends ProcessIdentity {
  v: 1;
}

export interface StateLock {
  /** Lets others have the directory. Idempotent. */
  release(): void;
}

/**
 * Makes the directory (0700) if need be and keeps every other agent out of it until released, or until this process is dead.
 *
 * The lock is the file `lock.N` with the highest N. Whoever takes over from a dead owner creates N+1, exclusively, and so never
 * removes a lock that a third one has taken meanwhile.
 * @throws {HostletError} StateLocked where the owner lives, or can't be known to be dead; ConfigInvalid where the directory
 * can't be written
 */
export function lockStateDir(dir: string): StateLock {
  const self: LockOwner = { v: 1, ...ownIdentity() };
  const draft = join(dir, `.lock-${self.pid}-${randomBytes(6).toString("hex")}`);
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    writeFileSync(draft, JSON.stringify(self), { mode: 0o600, flag: "wx" });
  } catch (cause) {
    throw unwritable(dir, cause as NodeJS.ErrnoException);
  }
  try {
    const own = take(dir, draft, self);
    return { release: () => remove(own) };
  } finally {
    remove(draft);
  }
}

function take(dir: string, draft: string, self: LockOwner): string {
  for (;;) {
    const before = locks(dir);
    const last = before.at(-1) ?? 0;
    if (last > 0) {
      const reason = held(join(dir, `lock.${last}`), self);
      if (reason) throw new HostletError("StateLocked", `${dir}: ${reason}`);
    }
    const own = join(dir, `lock.${last + 1}`);
    try {
      linkSync(draft, own);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") continue;
      throw unwritable(dir, error as NodeJS.ErrnoException);
    }
    if (locks(dir).at(-1) === last + 1) {
      for (const n of before) remove(join(dir, `lock.${n}`));
      return own;
    }
    remove(own);
  }
}

/** The numbers of the lock files, ascending. */
function locks(dir: string): number[] {
  const numbers = readdirSync(dir).flatMap((name) => /^lock\.(\d{1,9})$/.exec(name)?.[1] ?? []);
  return numbers.map(Number).sort((a, b) => a - b);
}

/** Why the lock can't be taken over; undefined where its owner is dead or has let go. */
function held(file: string, self: LockOwner): string | undefined {
  let owner: LockOwner | null;
  try {
    owner = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    return `its lock ${file} can't be read; if no hostlet uses this directory, remove that file`;
  }
  return whyHeld(owner, self, owner !== null && isAlive(owner.pid, owner.startTime), file);
}

/**
 * @param alive whether the owner's process is among those of this pid namespace
 * @returns undefined where the owner is certainly dead
 */
export function whyHeld(owner: LockOwner | null, self: LockOwner, alive: boolean, file: string): string | undefined {
  if (owner?.v !== 1) return `its lock ${file} is of another version of hostlet; end that one first`;
  if (owner.host !== self.host) {
    return `is in use on host ${owner.host} (process ${owner.pid}), and this is ${self.host}; each host needs a state directory of its own`;
  }
  if (owner.bootID !== self.bootID) return undefined;
  if (owner.pidNamespace !== self.pidNamespace) {
    return `is in use by process ${owner.pid} in another container of this host; if that container is gone, remove ${file}`;
  }
  if (!alive) return undefined;
  return `is in use by another hostlet (process ${owner.pid}); end that one first, or choose another state directory`;
}

function remove(file: string): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function unwritable(dir: string, cause: NodeJS.ErrnoException): HostletError {
  const why = {
    EACCES: "permission denied",
    EROFS: "a read-only file system",
    ENOSPC: "no space left",
    ENOTDIR: "not a directory",
    EEXIST: "not a directory",
  };
  const text = why[cause.code as keyof typeof why] ?? cause.message;
  return new HostletError(
    "ConfigInvalid",
    `${dir}: can't be used as state directory: ${text}; choose another one with --state-dir`,
    { cause },
  );
}
