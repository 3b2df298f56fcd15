import { HostletError } from "../../errors.ts";
import type { ConfigMap, KeyToPath, Secret } from "../../kube/types.ts";
import { checkVolumePath } from "./paths.ts";

export interface PayloadFile {
  data: Uint8Array;
  /** Permission bits, as chmod takes them. */
  mode: number;
}

/** The files of a volume by their path in it: relative, normalised, never beginning with `..`. */
export type Payload = Map<string, PayloadFile>;

export interface ProjectionOptions {
  items?: KeyToPath[] | undefined;
  optional?: boolean | undefined;
  /** Of files whose item asks for no mode. */
  defaultMode: number;
  /** Nobody but the pod's containers comes to the files: a Secret's have the very mode that is asked for. @default false */
  exactModes?: boolean;
}

/** What the API server sets where a manifest has no defaultMode: 0644. */
export const standardMode = 0o644;

/** What is left of a defaultMode for what is secret; see `secretPayload`. */
export const ownerBits = 0o700;

/**
 * The files of a ConfigMap, text and binary.
 * @param configMap undefined: it does not exist, and is optional
 * @throws {HostletError} CreateContainerFailed where an item's key is missing, PodInvalid for a bad path
 */
export function configMapPayload(configMap: ConfigMap | undefined, options: ProjectionOptions): Payload {
  const entries = new Map<string, Uint8Array>();
  for (const [key, text] of Object.entries(configMap?.data ?? {})) entries.set(key, Buffer.from(text));
  for (const [key, base64] of Object.entries(configMap?.binaryData ?? {})) {
    entries.set(key, Buffer.from(base64, "base64"));
  }
  return project(entries, options, "configmap references non-existent config key");
}

/**
 * The files of a Secret. Every Secret volume arrives with a defaultMode, 0644 if its author gave none, so it can't show
 * a wish to let others read: its bits for group and others are dropped. An item's own mode is a wish, and taken as it is.
 * @throws {HostletError} as configMapPayload
 */
export function secretPayload(secret: Secret | undefined, options: ProjectionOptions): Payload {
  const entries = new Map<string, Uint8Array>();
  for (const [key, base64] of Object.entries(secret?.data ?? {})) entries.set(key, Buffer.from(base64, "base64"));
  const defaultMode = options.exactModes ? options.defaultMode : options.defaultMode & ownerBits;
  return project(entries, { ...options, defaultMode }, "references non-existent secret key");
}

function project(entries: Map<string, Uint8Array>, options: ProjectionOptions, missingKey: string): Payload {
  const { items = [], optional = false, defaultMode } = options;
  const payload: Payload = new Map();
  if (items.length === 0) {
    for (const [key, data] of entries) payload.set(checkVolumePath(key, "key"), { data, mode: defaultMode & 0o777 });
  }
  for (const { key, path, mode = defaultMode } of items) {
    const data = entries.get(key);
    const target = checkVolumePath(path, "path");
    if (data) payload.set(target, { data, mode: mode & 0o777 });
    else if (!optional) throw new HostletError("CreateContainerFailed", `${missingKey}: ${key}`);
  }
  return payload;
}

/** One payload out of several; later ones win, as on the kubelet. */
export function mergePayloads(payloads: Iterable<Payload>): Payload {
  const merged: Payload = new Map();
  for (const payload of payloads) for (const [path, file] of payload) merged.set(path, file);
  return merged;
}

/** @throws {HostletError} PodInvalid where one path is a file and a directory at once */
export function checkPayload(payload: Payload): void {
  for (const path of payload.keys()) {
    for (let slash = path.indexOf("/"); slash >= 0; slash = path.indexOf("/", slash + 1)) {
      const directory = path.slice(0, slash);
      if (payload.has(directory)) {
        throw new HostletError(
          "PodInvalid",
          `conflicting paths: "${directory}" is a file, and the directory of "${path}"`,
        );
      }
    }
  }
}
