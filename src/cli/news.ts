import type { ContainerStatus, Event, Pod } from "../kube/types.ts";
import { containerStatuses } from "./outcome.ts";

/** Reasons of a container that is on its way, with nothing for a reader to do. */
const onItsWay = new Set(["ContainerCreating", "PodInitializing"]);

/**
 * What a reader wants to know of the pod as it stands, beyond its output: what it waits for, what went wrong, how it
 * ended. Each is said once by who shows them, so what is the same must read the same.
 * @param name how the pod is called
 */
export function podNews(pod: Pod, name: string): string[] {
  const { conditions = [], phase, reason, message } = pod.status ?? {};
  const news: string[] = [];
  const scheduled = conditions.find((c) => c.type === "PodScheduled");
  if (scheduled?.status === "False")
    news.push(`${name}: not scheduled: ${scheduled.message ?? scheduled.reason ?? ""}`);
  for (const status of containerStatuses(pod)) news.push(...containerNews(status, name));
  if (phase === "Succeeded") news.push(`${name}: Succeeded`);
  if (phase === "Failed") news.push(`${name}: Failed${because(reason, message)}`);
  return news;
}

/** Why the pod has no node; of interest only once the node has had time to be known. */
export function schedulingNews(pod: Pod, name: string): string[] {
  const scheduled = pod.status?.conditions?.find((c) => c.type === "PodScheduled");
  return scheduled?.status === "False"
    ? [`${name}: not scheduled: ${scheduled.message ?? scheduled.reason ?? ""}`]
    : [];
}

function containerNews({ name, state, restartCount }: ContainerStatus, pod: string): string[] {
  const waiting = state?.waiting;
  if (waiting?.message || (waiting?.reason && !onItsWay.has(waiting.reason))) {
    return [`${pod}/${name}: waiting${because(waiting.reason, waiting.message)}`];
  }
  const ended = state?.terminated;
  if (ended && ended.exitCode !== 0) {
    const how = ended.signal
      ? `ended by signal ${ended.signal}, exit code ${ended.exitCode}`
      : `exit code ${ended.exitCode}`;
    const reason = ended.reason === "Error" ? undefined : ended.reason;
    const again = restartCount > 0 ? ` (after ${restartCount} restarts)` : "";
    return [`${pod}/${name}: ${how}${again}${because(reason, ended.message)}`];
  }
  return [];
}

/** Events whose news stands in the pod's status, too. */
const inStatus = new Set(["FailedScheduling", "Failed", "BackOff"]);

/** Warnings are for the reader; undefined for other Events. */
export function eventNews(event: Event, name: string): string | undefined {
  if (event.type !== "Warning" || inStatus.has(event.reason ?? "")) return undefined;
  return `${name}: ${event.reason ?? "Warning"}: ${event.message ?? ""}`;
}

function because(reason: string | undefined, message: string | undefined): string {
  return [reason, message?.trim()].map((part) => (part ? `: ${part}` : "")).join("");
}
