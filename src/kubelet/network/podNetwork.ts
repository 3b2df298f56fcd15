import type { Pod } from "../../kube/types.ts";

/** Gives pods a network namespace and an address of their own; those on the host's network are none of its business. */
export interface PodNetwork {
  /** The pod's address: the same as long as there is the pod, for the next agent too. @throws where none is left */
  addressOf(pod: Pod): string;
  /** Makes its namespace, or finds it. @returns the file that stands for it */
  setUp(pod: Pod): Promise<string>;
  /** Ends it; its address is free again. */
  tearDown(uid: string): Promise<void>;
}

/** The address that a pod is reached at: its own, or the host's. */
export function podAddress(pod: Pod, hostIP: string, network: PodNetwork | undefined): string {
  if (!network || pod.spec?.hostNetwork) return hostIP;
  try {
    return network.addressOf(pod);
  } catch {
    return hostIP; // its set-up fails for the same reason, and says so
  }
}
