import { HostletError } from "../errors.ts";
import { type Pod, podRef } from "../kube/types.ts";
import type { Provider } from "../providers/contract.ts";

/** @throws {HostletError} NotFound */
export function findPod(provider: Provider, namespace: string, name: string, uid?: string): Pod {
  const pods = provider.list().filter((pod) => {
    const ref = podRef(pod);
    return ref.namespace === namespace && ref.name === name && (uid === undefined || ref.uid === uid);
  });
  // Of two of the same name the older one is still being ended.
  const pod = pods.at(-1);
  if (!pod) throw new HostletError("NotFound", `pod ${name} does not exist on this node`);
  return pod;
}
