import type { PodRef } from "./types.ts";

/** An Event about a pod, for its author. Never blocks, never fails: writing and aggregating is the sink's affair. */
export interface PodEvent {
  pod: PodRef;
  type: "Normal" | "Warning";
  /** The kubelet's reason where it has one: Created, Started, Killing, Failed, BackOff, FailedMount, ... */
  reason: string;
  message: string;
  /** `spec.containers{name}` and the like, where it is about one container. */
  fieldPath?: string;
}
export interface EventSink {
  emit(event: PodEvent): void;
}
