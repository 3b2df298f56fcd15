import { HostletError } from "../../errors.ts";
import type { ObjectSource } from "../../kube/objectSource.ts";
import { type Pod, podRef, type ServiceAccountTokenProjection } from "../../kube/types.ts";
import { checkVolumePath } from "./paths.ts";

/** What the API server sets where a manifest says nothing, in seconds. */
const standardExpiration = 3600;

/**
 * The token that a projected volume asks for.
 * @returns path in the volume; refreshAt: when to ask again
 * @throws {HostletError} PodInvalid where this node has no tokens, CreateContainerFailed where it can't be had now
 */
export async function projectedToken(
  { path, audience, expirationSeconds = standardExpiration }: ServiceAccountTokenProjection,
  { pod, objects, signal }: { pod: Pod; objects: ObjectSource; signal: AbortSignal },
): Promise<{ path: string; token: string; refreshAt: number }> {
  const target = checkVolumePath(path, "path");
  if (!objects.serviceAccountToken) {
    const message = "source serviceAccountToken: this node has no service account tokens to give";
    throw new HostletError("PodInvalid", message);
  }
  const name = pod.spec?.serviceAccountName || "default";
  const ref = podRef(pod);
  const audiences = audience ? [audience] : [];
  const request = { namespace: ref.namespace, name, pod: ref, audiences, expirationSeconds };
  try {
    const { token, refreshAt } = await objects.serviceAccountToken(request, signal);
    return { path: target, token, refreshAt };
  } catch (cause) {
    signal.throwIfAborted();
    const message = `couldn't get a token of service account "${name}": ${(cause as Error).message}`;
    throw new HostletError("CreateContainerFailed", message, { cause });
  }
}
