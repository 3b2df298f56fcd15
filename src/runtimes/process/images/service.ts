import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Clock } from "../../../clock.ts";
import { HostletError } from "../../../errors.ts";
import type { ImageCredential, ImageService, RuntimeImage } from "../../images.ts";
import { decompressed } from "./entries.ts";
import { pullFailed } from "./errors.ts";
import { readLayout } from "./layouts.ts";
import { fullName, parseImageName } from "./names.ts";
import { openImage } from "./registry.ts";
import { ImageStore } from "./store.ts";

/** Of the node's image table, as far as it is of interest here. */
export interface ImageTableEntry {
  entrypoint?: string[];
  command?: string[];
  env?: Record<string, string>;
  workingDir?: string;
  user?: string;
  rootfs?: string;
}

export interface ImageServiceOptions {
  /** Where images are unpacked. */
  dir: string;
  /** The table's entry for an image. */
  find(image: string): ImageTableEntry | undefined;
  /** Images that the table doesn't have come from their registry; else they are commands of the host. */
  pull: boolean;
  /** Registries (host and port) that are spoken to without TLS. */
  insecureRegistries: readonly string[];
  clock: Clock;
}

/** Images with root filesystems, for the sandbox: those of the node's table, and those of registries. */
export function createImageService(options: ImageServiceOptions): ImageService {
  return new Images(options);
}

/** No image: what docs/decisions/0041-image-resolution.md says, with the host's root. */
const ofHost: RuntimeImage = { id: "", onHost: true };

class Images implements ImageService {
  readonly #options: ImageServiceOptions;
  readonly #store: ImageStore;

  constructor(options: ImageServiceOptions) {
    this.#options = options;
    this.#store = new ImageStore(options.dir);
  }

  async find(image: string): Promise<RuntimeImage | undefined> {
    const entry = this.#options.find(image);
    if (entry?.rootfs !== undefined) return this.#ofTable(image, { ...entry, rootfs: entry.rootfs });
    if (this.#isOfHost(image, entry)) return ofHost;
    return this.#store.byName(fullName(parseImageName(image)));
  }

  async pull(
    image: string,
    credentials: readonly ImageCredential[],
    _progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<RuntimeImage> {
    const entry = this.#options.find(image);
    if (entry?.rootfs !== undefined) return this.#ofTable(image, { ...entry, rootfs: entry.rootfs });
    if (this.#isOfHost(image, entry)) return ofHost;
    const name = parseImageName(image);
    const insecure = this.#options.insecureRegistries.includes(name.host);
    try {
      const found = await openImage(name, { credentials, insecure, clock: this.#options.clock, signal });
      const pulled = await this.#store.make(found.id, fullName(name), async () => found, signal);
      await this.#store.setName(found.id, fullName(name));
      return pulled;
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof HostletError ? error : pullFailed((error as Error).message, error);
    }
  }

  list(): Promise<{ names: string[]; sizeBytes: number }[]> {
    return this.#store.list();
  }

  #isOfHost(image: string, entry: ImageTableEntry | undefined): boolean {
    return entry !== undefined || image === "" || image.startsWith("/") || !this.#options.pull;
  }

  async #ofTable(image: string, entry: ImageTableEntry & { rootfs: string }): Promise<RuntimeImage> {
    const { rootfs: path, ...settings } = entry;
    try {
      return { ...(await this.#fromDisk(image, path)), ...settings };
    } catch (error) {
      throw pullFailed(`${path}, which the node's image table has for it: ${(error as Error).message}`, error);
    }
  }

  async #fromDisk(image: string, path: string): Promise<RuntimeImage> {
    const found = await stat(path);
    if (found.isDirectory()) {
      const layout = await readLayout(path);
      // A root filesystem as it stands: containers write into layers of their own.
      if (!layout) return { id: `rootfs:${path}`, rootfs: path };
      return this.#store.make(layout.id, image, async () => layout);
    }
    const key = `${path} ${found.size} ${found.mtimeMs}`;
    return this.#store.make(key, image, async (scratch, unpack) => {
      await unpack(scratch, decompressed(createReadStream(path)));
      return readLayout(scratch);
    });
  }
}
