import { createReadStream } from "node:fs";
import { readFile, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { isObject, parseImageConfig, strings } from "./config.ts";
import type { Descriptor, ImageContent } from "./content.ts";
import { digestOf, verified } from "./digest.ts";
import { decompressed } from "./entries.ts";
import { parseManifest } from "./manifest.ts";

/**
 * The image in a directory: an OCI layout, or what `docker save` writes. Undefined: it is neither.
 * @throws {Error} where it is one, but damaged, or has nothing for this host
 */
export async function readLayout(dir: string): Promise<ImageContent | undefined> {
  if (await isFile(join(dir, "oci-layout"))) return readOci(dir);
  const text = (await isFile(join(dir, "manifest.json"))) && (await readFile(join(dir, "manifest.json"), "utf8"));
  return text ? readDockerArchive(dir, text) : undefined;
}

async function readOci(dir: string): Promise<ImageContent> {
  let found = parseManifest(await readFile(join(dir, "index.json"), "utf8"));
  let id = "";
  // An index may hold indexes.
  for (let depth = 0; "digest" in found; depth++) {
    if (depth > 4) throw new Error("its indexes lead in circles");
    id = found.digest;
    found = parseManifest(await blobText(dir, found));
  }
  const config = parseImageConfig(await blobText(dir, found.config));
  const layers = found.layers.map(({ digest }, index) => layer(blobPath(dir, digest), digest, config.diffIDs[index]));
  return { id: id || found.config.digest, settings: config.settings, layers };
}

/** Of several images in the archive the first. */
async function readDockerArchive(dir: string, text: string): Promise<ImageContent | undefined> {
  let entry: unknown;
  try {
    [entry] = JSON.parse(text) as unknown[];
  } catch {
    return undefined;
  }
  const files = isObject(entry) ? strings(entry.Layers) : undefined;
  if (!isObject(entry) || typeof entry.Config !== "string" || !files) return undefined;
  const configText = await readFile(await within(dir, entry.Config));
  const config = parseImageConfig(configText.toString("utf8"));
  const layers = await Promise.all(
    files.map(async (file, index) => layer(await within(dir, file), undefined, config.diffIDs[index])),
  );
  return { id: digestOf(configText), settings: config.settings, layers };
}

function layer(path: string, digest: string | undefined, diffID: string | undefined): () => AsyncIterable<Uint8Array> {
  return () => {
    const file = createReadStream(path);
    const tar = decompressed(digest === undefined ? file : verified(file, digest, "a layer"));
    return diffID === undefined ? tar : verified(tar, diffID, "a layer");
  };
}

async function blobText(dir: string, { digest }: Descriptor): Promise<string> {
  const text = await readFile(blobPath(dir, digest));
  if (digestOf(text) !== digest) throw new Error(`the blob ${digest} is damaged: its content has another digest`);
  return text.toString("utf8");
}

function blobPath(dir: string, digest: string): string {
  return join(dir, "blobs", ...digest.split(":"));
}

/** `docker save` of old names layers by links to each other; none may lead out. */
async function within(dir: string, path: string): Promise<string> {
  const [root, found] = await Promise.all([realpath(dir), realpath(join(dir, path))]);
  if (!found.startsWith(root + sep)) throw new Error(`${JSON.stringify(path)} leads out of the archive`);
  return found;
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}
