import type { EventSink } from "../kube/events.ts";
import type { PodRef } from "../kube/types.ts";
import type { PodActions } from "./decide/actions.ts";
import type { ContainerView } from "./decide/view.ts";

const groups: Record<ContainerView["kind"], string> = {
  init: "initContainers",
  sidecar: "initContainers",
  main: "containers",
  ephemeral: "ephemeralContainers",
};

/** Events about one pod and its containers. */
export class PodEvents {
  readonly #sink: EventSink;
  readonly #ref: PodRef;
  /** Back-offs that were told, by container: until when they last. */
  readonly #backoffs = new Map<string, number>();

  constructor(sink: EventSink, ref: PodRef) {
    this.#sink = sink;
    this.#ref = ref;
  }

  emit(type: "Normal" | "Warning", reason: string, message: string, container?: ContainerView): void {
    const group = groups[container?.kind ?? "main"];
    this.#sink.emit({
      pod: this.#ref,
      type,
      reason,
      message,
      ...(container && { fieldPath: `spec.${group}{${container.spec.name}}` }),
    });
  }

  /** One Event for each restart that waits. */
  backingOff(actions: PodActions, containers: ContainerView[]): void {
    for (const { container: name, until } of actions.backingOff) {
      if (this.#backoffs.get(name) === until) continue;
      this.#backoffs.set(name, until);
      const container = containers.find((c) => c.spec.name === name);
      const pod = `${this.#ref.name}_${this.#ref.namespace}(${this.#ref.uid})`;
      this.emit("Warning", "BackOff", `Back-off restarting failed container ${name} in pod ${pod}`, container);
    }
  }
}
