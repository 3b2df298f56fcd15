import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { removeTree } from "../../../removeTree.ts";
import type { RuntimeImage } from "../../images.ts";
import type { ImageContent } from "./content.ts";
import { applyLayer } from "./layer.ts";

interface StoredImage {
  version: 1;
  image: RuntimeImage;
  /** As they were asked for. */
  names: string[];
  sizeBytes: number;
}

/**
 * Gives the content to unpack; undefined: `scratch` has become the root filesystem itself.
 * @param scratch an empty directory, gone afterwards
 * @param unpack a tar stream into a directory
 */
export type Fill = (
  scratch: string,
  unpack: (dir: string, tar: AsyncIterable<Uint8Array>) => Promise<void>,
) => Promise<ImageContent | undefined>;

/** Unpacked images of this node, each once: `<dir>/<key>/{image.json,rootfs}`. One writer: the agent that holds the state directory. */
export class ImageStore {
  readonly #dir: string;
  readonly #owners: boolean;
  /** Under way, by key: two containers of one image unpack it once. */
  readonly #making = new Map<string, Promise<RuntimeImage>>();
  #swept: Promise<void> | undefined;
  #drafts = 0;

  constructor(dir: string, owners = process.geteuid?.() === 0) {
    this.#dir = dir;
    this.#owners = owners;
  }

  async get(key: string): Promise<RuntimeImage | undefined> {
    return (await this.#read(nameOf(key)))?.image;
  }

  /** By one of the names that it was asked for. */
  async byName(name: string): Promise<RuntimeImage | undefined> {
    return (await this.#all()).find(({ names }) => names.includes(name))?.image;
  }

  async list(): Promise<{ names: string[]; sizeBytes: number }[]> {
    return (await this.#all()).map(({ names, sizeBytes }) => ({ names, sizeBytes }));
  }

  /** The image of this key, made where it is missing. */
  make(key: string, name: string, fill: Fill, signal?: AbortSignal): Promise<RuntimeImage> {
    const running = this.#making.get(key);
    if (running !== undefined) return running;
    const made = this.#make(key, name, fill, signal).finally(() => this.#making.delete(key));
    this.#making.set(key, made);
    return made;
  }

  /** The name means this image from now on, and no other. */
  async setName(key: string, name: string): Promise<void> {
    for (const [file, stored] of await this.#entries()) {
      const mine = file === nameOf(key);
      if (mine === stored.names.includes(name)) continue;
      const names = mine ? [...stored.names, name] : stored.names.filter((one) => one !== name);
      await this.#write(file, { ...stored, names });
    }
  }

  async #make(key: string, name: string, fill: Fill, signal?: AbortSignal): Promise<RuntimeImage> {
    this.#swept ??= this.#sweep();
    await this.#swept;
    const found = await this.get(key);
    if (found) return found;
    const draft = join(this.#dir, `.${this.#drafts++}.draft`);
    const rootfs = join(draft, "rootfs");
    const scratch = join(draft, "scratch");
    const unpack = (dir: string, tar: AsyncIterable<Uint8Array>) =>
      applyLayer(dir, tar, { owners: this.#owners, ...(signal && { signal }) });
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    try {
      const content = await fill(scratch, unpack);
      if (content === undefined) await rename(scratch, rootfs);
      else await mkdir(rootfs, { mode: 0o755 });
      await chmod(rootfs, 0o755);
      for (const layer of content?.layers ?? []) await unpack(rootfs, layer());
      await removeTree(scratch);
      const final = join(this.#dir, nameOf(key));
      const image: RuntimeImage = { id: content?.id ?? key, ...content?.settings, rootfs: join(final, "rootfs") };
      const sizeBytes = await sizeOf(rootfs);
      await writeFile(join(draft, "image.json"), JSON.stringify({ version: 1, image, names: [name], sizeBytes }));
      await rename(draft, final);
      return image;
    } catch (error) {
      await removeTree(draft);
      throw error;
    }
  }

  /** What an agent left that was killed in the middle. */
  async #sweep(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    for (const file of await readdir(this.#dir)) if (file.startsWith(".")) await removeTree(join(this.#dir, file));
  }

  async #all(): Promise<StoredImage[]> {
    return (await this.#entries()).map(([, stored]) => stored);
  }

  async #entries(): Promise<[string, StoredImage][]> {
    const files = await readdir(this.#dir).catch(() => []);
    const read = await Promise.all(files.map(async (file) => [file, await this.#read(file)] as const));
    return read.flatMap(([file, stored]) => (stored ? [[file, stored] as [string, StoredImage]] : []));
  }

  async #read(file: string): Promise<StoredImage | undefined> {
    try {
      const stored = JSON.parse(await readFile(join(this.#dir, file, "image.json"), "utf8")) as StoredImage;
      return stored.version === 1 ? stored : undefined;
    } catch {
      return undefined;
    }
  }

  async #write(file: string, stored: StoredImage): Promise<void> {
    const path = join(this.#dir, file, "image.json");
    await writeFile(`${path}.draft`, JSON.stringify(stored));
    await rename(`${path}.draft`, path).catch(async (error) => {
      await rm(`${path}.draft`, { force: true });
      throw error;
    });
  }
}

/** A key may be anything: a digest, a path with its time. */
function nameOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

async function sizeOf(dir: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) total += (await lstat(join(entry.parentPath, entry.name))).size;
  }
  return total;
}
