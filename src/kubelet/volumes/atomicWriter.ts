import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../../clock.ts";
import type { Payload } from "./payload.ts";

/** Who may read a volume's files. */
export interface VolumeOwnership {
  /** Of the directory and of those below. */
  dirMode: number;
  /** The group of everything in it; undefined: the agent's. */
  gid?: number | undefined;
  /** Bits that every file has beside its own. */
  fileBits?: number;
}

const dataLink = "..data";
const temporaryLink = "..data_tmp";

/**
 * Makes the directory hold exactly the payload, all at once for whoever reads through `..data`, in the layout of the
 * kubelet: `<name> -> ..data/<name>`, `..data -> ..<time>.<random>/`. Killed at any point, the next call finds the old or
 * the new content complete, and removes what was left over. What others put into the directory under other names stays.
 * Synchronous: a dozen small calls on a local disk take less time than handing them to other threads takes.
 * @returns whether the content has changed
 */
export function writeVolume(dir: string, payload: Payload, ownership: VolumeOwnership, clock: Clock): boolean {
  const fresh = mkdirSync(dir, { recursive: true }) !== undefined;
  own(dir, ownership.dirMode, ownership);
  const current = fresh ? undefined : linkTarget(join(dir, dataLink));
  const changed = current === undefined || !holds(join(dir, current), payload);
  const live = changed ? publish(dir, payload, ownership, clock) : current;
  tidy(dir, live, payload);
  return changed;
}

function own(path: string, mode: number, { gid }: VolumeOwnership): void {
  // Before the mode: a change of the group takes the set-group-id bit away.
  if (gid !== undefined) chownSync(path, -1, gid);
  chmodSync(path, mode);
}

function publish(dir: string, payload: Payload, ownership: VolumeOwnership, clock: Clock): string {
  const stamp = new Date(clock.now()).toISOString().slice(0, 19).replaceAll(/[-T:]/g, "_");
  const versionDir = mkdtempSync(join(dir, `..${stamp}.`));
  try {
    own(versionDir, ownership.dirMode, ownership);
    const made = new Set([versionDir]);
    for (const [path, { data, mode }] of payload) {
      const file = join(versionDir, path);
      makeDirs(dirname(file), ownership, made);
      writeFileSync(file, data, { mode: mode & 0o700 });
      // The umask has cut the mode down.
      own(file, mode | (ownership.fileBits ?? 0), ownership);
    }
    const temporary = join(dir, temporaryLink);
    rmSync(temporary, { force: true });
    symlinkSync(basename(versionDir), temporary);
    renameSync(temporary, join(dir, dataLink));
  } catch (error) {
    rmSync(versionDir, { recursive: true, force: true });
    throw error;
  }
  return basename(versionDir);
}

/** @param made directories that exist; grows */
function makeDirs(dir: string, ownership: VolumeOwnership, made: Set<string>): void {
  if (made.has(dir)) return;
  makeDirs(dirname(dir), ownership, made);
  mkdirSync(dir);
  own(dir, ownership.dirMode, ownership);
  made.add(dir);
}

/** Visible names for what there is, none for what is gone, and no leftovers. */
function tidy(dir: string, live: string, payload: Payload): void {
  const wanted = new Set([...payload.keys()].map((path) => path.split("/", 1)[0]!));
  const present = new Set(readdirSync(dir));
  for (const name of wanted) {
    if (!present.has(name)) symlinkSync(join(dataLink, name), join(dir, name));
  }
  for (const name of present) {
    if (name === dataLink || name === live || wanted.has(name)) continue;
    const path = join(dir, name);
    if (name.startsWith("..")) rmSync(path, { recursive: true, force: true });
    else if (linkTarget(path) === join(dataLink, name)) unlinkSync(path);
  }
}

/** Whether the files below the directory are those of the payload. What can't be read is not. */
function holds(dir: string, payload: Payload): boolean {
  try {
    const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory());
    if (files.length !== payload.size) return false;
    return [...payload].every(([path, { data }]) => readFileSync(join(dir, path)).equals(data));
  } catch {
    return false;
  }
}

/** Undefined where there is no symlink. */
function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EINVAL") return undefined;
    throw error;
  }
}
