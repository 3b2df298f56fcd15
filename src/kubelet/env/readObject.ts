import { HostletError } from "../../errors.ts";
import type { ObjectSource } from "../../kube/objectSource.ts";
import type { Pod, ReferencedKinds } from "../../kube/types.ts";

/**
 * A ConfigMap or Secret of the pod's namespace; undefined where it does not exist. Without a name there is none: an API server
 * would answer with a list.
 * @throws {HostletError} CreateContainerFailed where it can't be read; the signal's reason when that aborts
 */
export async function readObject<K extends keyof ReferencedKinds>(
  kind: K,
  name: string,
  { pod, objects, signal }: { pod: Pod; objects: ObjectSource; signal: AbortSignal },
  reason?: string,
): Promise<ReferencedKinds[K] | undefined> {
  if (!name) return undefined;
  try {
    return await objects.get(kind, pod.metadata?.namespace ?? "default", name, signal);
  } catch (cause) {
    signal.throwIfAborted();
    const message = `couldn't read ${kind.toLowerCase()} "${name}": ${(cause as Error).message}`;
    throw new HostletError("CreateContainerFailed", message, reason === undefined ? { cause } : { cause, reason });
  }
}

/** In the words of an API server. */
export function notFound(kind: keyof ReferencedKinds, name: string): string {
  return `${kind.toLowerCase()} "${name}" not found`;
}
