import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { HostletError } from "../errors.ts";
import type { KubeObject } from "../kube/types.ts";
import { findKind, type ServedKind } from "./kinds.ts";
import { type ParsedDocument, parseYaml } from "./yaml.ts";

/** One object of a manifest file; not yet checked beyond its kind: that is the API server's business. */
export interface Manifest {
  object: KubeObject & { apiVersion: string; kind: string };
  kind: ServedKind;
  /** `pods.yaml, document 2, line 7`, for messages. */
  where: string;
}

export interface ReadOptions {
  /** Read where an input is `-`. */
  stdin: AsyncIterable<Uint8Array | string>;
  /** Directories within directories, too. @default false */
  recursive?: boolean;
}

/** More than any API server takes in one object; so that /dev/zero is an error and not the end of the memory. */
const longestFile = 64 * 2 ** 20;

/**
 * Every object of the files, directories (their `*.yaml`, `*.yml` and `*.json`, in name order) and of standard input (`-`),
 * in the order given; Lists unfolded.
 * @throws {HostletError} ManifestInvalid, naming file, document and line
 */
export async function readManifests(inputs: string[], options: ReadOptions): Promise<Manifest[]> {
  if (inputs.filter((i) => i === "-").length > 1) throw invalid("-: standard input can only be read once");
  const manifests: Manifest[] = [];
  for (const input of inputs) {
    if (input === "-") {
      manifests.push(...parseManifests(await decode(options.stdin, "standard input"), "standard input"));
      continue;
    }
    for (const file of await filesOf(input, options.recursive ?? false)) {
      manifests.push(...parseManifests(await decode(createReadStream(file), file), file));
    }
  }
  return manifests;
}

/** @throws {HostletError} ManifestInvalid */
export function parseManifests(text: string, source: string): Manifest[] {
  const documents = parseYaml(text, source);
  if (documents.length === 0)
    throw invalid(`${source}: holds no manifest; at least one object with apiVersion and kind is needed`);
  const many = documents.some((d) => d.document > 1);
  const manifests = documents.flatMap((d) => unfold(d.value, place(d, source, many)));
  if (manifests.length === 0) throw invalid(`${source}: holds only empty lists`);
  return manifests;
}

function place(document: ParsedDocument, source: string, many: boolean): string {
  return many ? `${source}, document ${document.document}, line ${document.line}` : `${source}, line ${document.line}`;
}

function unfold(value: unknown, where: string): Manifest[] {
  if (!isMap(value)) {
    throw invalid(`${where}: is ${typeName(value)}, not an object; a manifest begins with apiVersion: and kind:`);
  }
  const { apiVersion, kind, metadata, items } = value;
  for (const [name, field] of Object.entries({ apiVersion, kind })) {
    if (field === undefined || field === null || field === "") {
      throw invalid(`${where}: has no ${name}; every manifest needs apiVersion and kind`);
    }
    if (typeof field !== "string") throw invalid(`${where}: ${name} is ${typeName(field)}, not a string`);
  }
  if (/List$/.test(String(kind)) && Array.isArray(items)) {
    return items.flatMap((item, i) => unfold(item, `${where}, item ${i + 1}`));
  }
  if (metadata !== undefined && !isMap(metadata))
    throw invalid(`${where}: metadata is ${typeName(metadata)}, not an object`);
  const served = findKind(String(apiVersion), String(kind));
  if (typeof served === "string") throw invalid(`${where}: ${served}`);
  return [{ object: { ...value, apiVersion: served.apiVersion, kind: served.kind }, kind: served, where }];
}

async function filesOf(input: string, recursive: boolean): Promise<string[]> {
  const info = await stat(input).catch((cause: NodeJS.ErrnoException) => {
    throw unreadable(input, cause);
  });
  if (!info.isDirectory()) return [input];
  const files = await manifestsIn(input, recursive).catch((cause: NodeJS.ErrnoException) => {
    throw unreadable(input, cause);
  });
  if (files.length === 0) {
    throw invalid(
      `${input}: no *.yaml, *.yml or *.json in this directory${recursive ? "" : "; -R looks into those below, too"}`,
    );
  }
  return files;
}

async function manifestsIn(directory: string, recursive: boolean): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  const files: string[] = [];
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (recursive) files.push(...(await manifestsIn(path, recursive)));
    } else if (/\.(ya?ml|json)$/.test(entry.name)) files.push(path);
  }
  return files;
}

async function decode(stream: AsyncIterable<Uint8Array | string>, source: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      const bytes = Buffer.from(chunk);
      chunks.push(bytes);
      size += bytes.length;
      if (size > longestFile) throw invalid(`${source}: is longer than ${longestFile / 2 ** 20} MiB; no manifest is`);
    }
  } catch (cause) {
    throw cause instanceof HostletError ? cause : unreadable(source, cause as NodeJS.ErrnoException);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new HostletError("ManifestInvalid", `${source}: is no text in UTF-8`, { cause });
  }
}

function unreadable(path: string, cause: NodeJS.ErrnoException): HostletError {
  const why: Record<string, string> = {
    ENOENT: "no such file or directory",
    ENOTDIR: "no such file or directory",
    EACCES: "permission denied",
    ELOOP: "too many symbolic links",
    ENAMETOOLONG: "the name is too long",
  };
  return new HostletError("ManifestInvalid", `${path}: ${why[cause.code ?? ""] ?? cause.message}`, { cause });
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return `a ${typeof value}`;
}

function invalid(message: string): HostletError {
  return new HostletError("ManifestInvalid", message);
}
