import { isInitialized } from "./actions.ts";
import { type ContainerView, latest, type PodView } from "./view.ts";

export type PodPhase = "Pending" | "Running" | "Succeeded" | "Failed";

/**
 * The phase from all containers, as the kubelet's getPhase has it.
 * @param settled nothing of the pod runs and nothing will any more
 */
export function computePhase(view: PodView, settled: boolean): PodPhase {
  const mains = view.containers.filter((c) => c.kind === "main");
  if (settled) {
    if (view.ending?.reason) return "Failed";
    const succeeded = mains.every((c) => latest(c)?.exit?.exitCode === 0);
    return succeeded ? "Succeeded" : "Failed";
  }
  if (!isInitialized(view)) return "Pending";
  // A container that never ran holds the pod in Pending, whatever the others do; one that waits for its restart does not.
  if (mains.some((c: ContainerView) => c.attempts.length === 0)) return "Pending";
  return "Running";
}
