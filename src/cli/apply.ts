import { HostletError } from "../errors.ts";
import { ApiError, isAlreadyExists } from "../kube/apiError.ts";
import type { KubeClient } from "../kube/client.ts";
import { paths, resourcePath } from "../kube/paths.ts";
import type { KubeObject, Pod } from "../kube/types.ts";
import type { Manifest } from "../manifest/read.ts";

export interface ApplyOptions {
  client: KubeClient;
  /** Told of each object that was made. */
  note(text: string): void;
  signal: AbortSignal;
}

/** Where an object goes that names no namespace. */
const defaultNamespace = "default";

/**
 * Creates every object: namespaces first, those that are missing too, pods last. A pod that doesn't say so is not restarted:
 * a run is for one command.
 * @returns the pods, as the API server made them
 * @throws {HostletError} ManifestInvalid with the API server's words, ApiFailed
 */
export async function applyAll(manifests: Manifest[], options: ApplyOptions): Promise<Pod[]> {
  const { client, note, signal } = options;
  const ordered = [...manifests].sort((a, b) => rank(a) - rank(b));
  const namespaces = new Set<string | undefined>();
  const pods: Pod[] = [];
  for (const manifest of ordered) {
    const object = prepared(manifest);
    const namespace = object.metadata?.namespace;
    if (namespace !== undefined && !namespaces.has(namespace)) {
      namespaces.add(namespace);
      if (await ensureNamespace(client, namespace, signal)) note(`namespace/${namespace} created; no manifest has it`);
    }
    const path = resourcePath({ resource: manifest.kind.resource, ...(namespace === undefined ? {} : { namespace }) });
    const made = await client
      .create<KubeObject>(path, object, { query: { fieldValidation: "Strict" }, signal })
      .catch((error: unknown) => {
        throw failed(manifest, error, signal);
      });
    if (manifest.kind.kind === "Pod") pods.push(made as Pod);
    note(`${manifest.kind.kind.toLowerCase()}/${made.metadata?.name} created`);
  }
  return pods;
}

function rank({ kind }: Manifest): number {
  return kind.kind === "Namespace" ? 0 : kind.kind === "Pod" ? 2 : 1;
}

/** The object as it is sent. What is of the wrong type is left to the API server, which says so. */
function prepared({ object, kind }: Manifest): KubeObject & { spec?: unknown } {
  const result: KubeObject & { spec?: unknown } = { ...object };
  if (kind.namespaced)
    result.metadata = { ...object.metadata, namespace: object.metadata?.namespace || defaultNamespace };
  const { spec } = result;
  if (kind.kind === "Pod" && typeof spec === "object" && spec !== null && !("restartPolicy" in spec)) {
    result.spec = { ...spec, restartPolicy: "Never" };
  }
  return result;
}

/** @returns whether it had to be made */
async function ensureNamespace(client: KubeClient, name: string, signal: AbortSignal): Promise<boolean> {
  if (name === defaultNamespace) return false;
  try {
    await client.create<KubeObject>(
      paths.namespaces(),
      { apiVersion: "v1", kind: "Namespace", metadata: { name } },
      { signal },
    );
    return true;
  } catch (error) {
    if (isAlreadyExists(error)) return false;
    throw error;
  }
}

function failed(manifest: Manifest, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted || !(error instanceof ApiError)) return error;
  // The class's own message begins with method and path, which say nothing to who wrote the file.
  const said = error.message.replace(/^\S+ \S+: \d+ \S+: /, "");
  const invalid = error.code >= 400 && error.code < 500 && error.code !== 401 && error.code !== 429;
  return new HostletError(invalid ? "ManifestInvalid" : "ApiFailed", `${manifest.where}: ${said}`, { cause: error });
}
