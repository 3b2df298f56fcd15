import type { ImageSettings } from "./config.ts";

/** An image as it came, before it is unpacked. */
export interface ImageContent {
  /** The digest of its configuration or manifest; names it for good. */
  id: string;
  settings: ImageSettings;
  /** From the lowest on; each is a tar stream, decompressed, and throws where its digest is another. */
  layers: (() => AsyncIterable<Uint8Array>)[];
}

/** What this host runs, as images name it. */
export interface Platform {
  os: string;
  architecture: string;
}

export const hostPlatform: Platform = {
  os: "linux",
  architecture: { x64: "amd64" }[process.arch as string] ?? process.arch,
};

export interface Descriptor {
  mediaType?: string;
  digest: string;
  size?: number;
  platform?: Partial<Platform>;
}
