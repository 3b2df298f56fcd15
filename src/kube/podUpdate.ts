import type { PodRef, PodStatus } from "./types.ts";

export interface PodUpdate {
  pod: PodRef;
  /**
   * What is known of the pod now; complete, in order, and never older than the one before. Holds the conditions that a
   * kubelet owns and no others. lastTransitionTime is the time at which the condition took this value.
   */
  status: PodStatus;
  /**
   * Nothing of the pod is left here: no process, no directory. Only then may the node remove the API object.
   * The last update of a pod, and only sent for one that was asked to be deleted.
   */
  gone: boolean;
  /** Annotations that the pod's object is to have, beside those that it has: what a Provider must find there again. */
  annotations?: Record<string, string>;
}
