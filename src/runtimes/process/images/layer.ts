import { constants, type Stats } from "node:fs";
import { chmod, lchown, link, lstat, lutimes, mkdir, open, readdir, readlink, rm, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { removeTree } from "../../../removeTree.ts";
import { readTar, type TarEntry } from "./entries.ts";

/** Links in one path; more are a circle. */
const mostLinks = 40;
const whiteout = ".wh.";
const opaque = ".wh..wh..opq";

/**
 * Unpacks one layer onto a root filesystem of earlier ones, whiteouts and hard links included. Nothing is written outside: links of earlier
 * entries are followed within the root, as the container would follow them. Device files are left out: a container has its own /dev.
 * @param root nobody else's while it is made
 * @param own as root: owners are kept; else everything belongs to this process's user, who can read and remove it
 * @throws {Error} of a hostile or damaged archive
 */
export async function applyLayer(
  root: string,
  tar: AsyncIterable<Uint8Array>,
  options: { owners: boolean; signal?: AbortSignal },
): Promise<void> {
  /** Of this layer: what a whiteout does not take away. */
  const made = new Set<string>();
  /** Set when all is in its place: a directory without write permission would keep its own files out. */
  const directories = new Map<string, TarEntry>();
  const use = async (entry: TarEntry) => {
    const names = namesOf(entry.path);
    const name = names.at(-1);
    if (name === undefined) return;
    const dir = await directoryIn(root, names.slice(0, -1), true);
    if (name === opaque) return removeAll(dir, made);
    if (name.startsWith(whiteout)) {
      const gone = name.slice(whiteout.length);
      if (gone === "" || gone === "." || gone === "..") throw new Error(`the whiteout ${entry.path} names nothing`);
      const path = join(dir, gone);
      return clear(path, await lstat(path).catch(() => undefined));
    }
    const path = join(dir, name);
    await place(root, path, entry, options.owners);
    made.add(path);
    if (entry.type === "Directory") directories.set(path, entry);
  };
  await readTar(tar, use, options.signal);
  for (const [path, entry] of [...directories].reverse()) {
    const found = await lstat(path).catch(() => undefined);
    if (found?.isDirectory()) await settle(path, entry, options.owners);
  }
}

/** @throws where the path leads out of the root by itself */
function namesOf(path: string): string[] {
  if (path.includes("\0")) throw new Error("the name of an entry has a NUL character");
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) throw new Error(`${JSON.stringify(path)} leads out of the image`);
  return names;
}

/** A directory of the root, links followed within it; what is missing is made. */
async function directoryIn(root: string, names: readonly string[], make: boolean): Promise<string> {
  let at: string[] = [];
  const left = [...names];
  for (let links = 0; left.length > 0; ) {
    const name = left.shift() as string;
    if (name === "..") {
      at = at.slice(0, -1);
      continue;
    }
    const path = join(root, ...at, name);
    const found = await lstat(path).catch(() => undefined);
    if (found?.isSymbolicLink()) {
      if (++links > mostLinks) throw new Error(`${names.join("/")} goes round in circles`);
      const target = await readlink(path);
      if (target.startsWith("/")) at = [];
      left.unshift(...target.split("/").filter((part) => part !== "" && part !== "."));
      continue;
    }
    if (!found && make) await mkdir(path, { mode: 0o755 });
    else if (!found?.isDirectory()) throw new Error(`${names.join("/")} is not a directory in the image`);
    at.push(name);
  }
  return join(root, ...at);
}

async function place(root: string, path: string, entry: TarEntry, owners: boolean): Promise<void> {
  const before = await lstat(path).catch(() => undefined);
  switch (entry.type) {
    case "Directory":
      if (before?.isDirectory()) return;
      await clear(path, before);
      await mkdir(path, { mode: 0o700 });
      return;
    case "File":
    case "OldFile":
    case "ContiguousFile":
      await clear(path, before);
      await writeFile(path, entry);
      return settle(path, entry, owners);
    case "SymbolicLink":
      await clear(path, before);
      await symlink(entry.linkpath ?? "", path);
      return settle(path, entry, owners);
    case "Link": {
      const names = namesOf(entry.linkpath ?? "");
      const source = join(await directoryIn(root, names.slice(0, -1), false), names.at(-1) ?? "");
      const found = await lstat(source).catch(() => undefined);
      if (!found || found.isDirectory())
        throw new Error(`${entry.path} is a hard link to ${entry.linkpath}, which is no file of the image`);
      if (source === path) return;
      await clear(path, before);
      return link(source, path);
    }
    case "CharacterDevice":
    case "BlockDevice":
    case "FIFO":
      return;
    default:
      throw new Error(`${entry.path} is of an unknown kind (${entry.type})`);
  }
}

/** What an earlier layer, or an earlier entry, had in that place. */
async function clear(path: string, before: Stats | undefined): Promise<void> {
  if (before?.isDirectory()) await removeTree(path);
  else if (before) await rm(path);
}

async function writeFile(path: string, entry: TarEntry): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(path, flags, 0o600);
  try {
    for await (const chunk of entry) await file.writeFile(chunk as Buffer);
  } finally {
    await file.close();
  }
}

async function settle(path: string, entry: TarEntry, owners: boolean): Promise<void> {
  if (owners) await lchown(path, entry.uid ?? 0, entry.gid ?? 0);
  if (entry.type !== "SymbolicLink") {
    const mode = (entry.mode ?? 0o755) & 0o7777;
    const least = entry.type === "Directory" ? 0o700 : 0o400;
    await chmod(path, owners ? mode : mode | least);
  }
  if (entry.mtime) await lutimes(path, entry.mtime, entry.mtime);
}

/** All that earlier layers had in a directory, also in those directories of it that this layer has something in. */
async function removeAll(dir: string, made: ReadonlySet<string>): Promise<void> {
  const kept = new Set<string>();
  for (const path of made) for (let at = path; at.startsWith(`${dir}/`); at = dirname(at)) kept.add(at);
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (!kept.has(path)) await clear(path, await lstat(path));
    else if (entry.isDirectory()) await removeAll(path, made);
  }
}
