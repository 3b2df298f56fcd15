import type { Pod } from "../../kube/types.ts";
import { podRef } from "../../kube/types.ts";
import { type AssignedDevices, assignDevices, deviceEnvironment } from "./assign.ts";
import type { DeviceVariables } from "./configured.ts";
import type { NodeDevices } from "./find.ts";

/** Who has which devices of the node. What has to outlive the agent stands in the pods' records. */
export class DeviceLedger {
  readonly #devices: NodeDevices;
  readonly #variables: DeviceVariables;
  /** By the pod's UID. */
  readonly #pods = new Map<string, AssignedDevices>();

  constructor(devices: NodeDevices = new Map(), variables: DeviceVariables = {}) {
    this.#devices = devices;
    this.#variables = variables;
  }

  /** Gives the pod its devices; the same ones when it is asked again. */
  take(pod: Pod): AssignedDevices | { refused: string } {
    const { uid } = podRef(pod);
    const before = this.#pods.get(uid);
    if (before) return before;
    const taken = new Map<string, Set<string>>();
    for (const container of [...this.#pods.values()].flatMap((assigned) => Object.values(assigned))) {
      for (const [resource, ids] of Object.entries(container)) {
        taken.set(resource, new Set([...(taken.get(resource) ?? []), ...ids]));
      }
    }
    const assigned = assignDevices(pod, this.#devices, taken);
    if (!isRefused(assigned) && Object.keys(assigned).length > 0) this.#pods.set(uid, assigned);
    return assigned;
  }

  /** What a pod of an earlier agent has. */
  restore(uid: string, assigned: AssignedDevices): void {
    this.#pods.set(uid, assigned);
  }

  release(uid: string): void {
    this.#pods.delete(uid);
  }

  environment(uid: string, container: string): { given: Record<string, string>; none: Record<string, string> } {
    return deviceEnvironment(this.#pods.get(uid)?.[container] ?? {}, this.#devices, this.#variables);
  }
}

/** Told apart by the value: a container may be named `refused`, too. */
export function isRefused(result: AssignedDevices | { refused: string }): result is { refused: string } {
  return typeof result.refused === "string";
}
