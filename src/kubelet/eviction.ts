/** Why and how the node ends a pod that nobody deleted: the end of its walltime, a drain. */
export interface Eviction {
  /** `status.reason`, such as the kubelet's `Terminated` at a node's graceful shutdown. */
  reason: string;
  message: string;
  /** From the call on; the pod's own grace period, or less where there is no more time. */
  gracePeriodSeconds: number;
}
