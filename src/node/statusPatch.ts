import type { PodCondition, PodRef, PodStatus } from "../kube/types.ts";

/**
 * The strategic merge patch that makes a pod's status ours and keeps what others own in it. The UID is a precondition:
 * a pod recreated under the same name answers 422 (its uid is immutable). What is no longer there is set to null, as
 * a merge keeps what a patch doesn't name; lists of container statuses have no merge key and are replaced.
 */
export function statusPatch(pod: PodRef, status: PodStatus, annotations?: Record<string, string>): unknown {
  return {
    metadata: { uid: pod.uid, ...(annotations && { annotations }) },
    status: {
      ...status,
      reason: status.reason ?? null,
      message: status.message ?? null,
      conditions: (status.conditions ?? []).map((c: PodCondition) => ({
        ...c,
        reason: c.reason ?? null,
        message: c.message ?? null,
      })),
    },
  };
}
