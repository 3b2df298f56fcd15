import { isObject } from "./config.ts";
import { type Descriptor, hostPlatform, type Platform } from "./content.ts";
import { isDigest } from "./digest.ts";

export const manifestTypes = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
];
export const indexTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];

export interface ImageManifest {
  config: Descriptor;
  layers: Descriptor[];
}

/**
 * A manifest, or of an index the entry that is for this host.
 * @throws {Error} where it is neither, or there is none for this host
 */
export function parseManifest(text: string, platform: Platform = hostPlatform): ImageManifest | Descriptor {
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) throw new Error("its manifest is no object");
  if (Array.isArray(value.manifests)) return choose(value.manifests.map(descriptor), platform);
  if (!Array.isArray(value.layers) || value.config === undefined) {
    throw new Error("its manifest is of a kind that is not known here (schema 1 is too old)");
  }
  return { config: descriptor(value.config), layers: value.layers.map(descriptor) };
}

/** An entry without a platform is for all. */
function choose(entries: Descriptor[], { os, architecture }: Platform): Descriptor {
  const fits = entries.find(({ platform }) => platform?.os === os && platform.architecture === architecture);
  const found = fits ?? entries.find(({ platform }) => platform === undefined);
  if (found) return found;
  const offered = entries.map(({ platform }) => `${platform?.os}/${platform?.architecture}`).join(", ");
  throw new Error(`it has nothing for ${os}/${architecture}, only for ${offered || "nothing"}`);
}

function descriptor(value: unknown): Descriptor {
  if (!isObject(value) || !isDigest(value.digest))
    throw new Error("its manifest names something without a sha256 digest");
  const { digest, mediaType, size, platform } = value;
  return {
    digest,
    ...(typeof mediaType === "string" && { mediaType }),
    ...(typeof size === "number" && { size }),
    ...(isObject(platform) && { platform: { os: String(platform.os), architecture: String(platform.architecture) } }),
  };
}
