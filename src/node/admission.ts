import { allocatable, type HostPort, hostPorts, podRequests } from "../kube/scheduling/requests.ts";
import { type Node, type Pod, podRef } from "../kube/types.ts";
import { decideAdmission, type Refusal } from "./admissionDecision.ts";

interface Share {
  requests: ReadonlyMap<string, number>;
  ports: HostPort[];
}

/** Keeps account of what the pods of this node take of it, and decides whether one more can come. */
export class Admission {
  readonly #nodeName: string;
  #capacity: ReadonlyMap<string, number>;
  readonly #shares = new Map<string, Share>();
  readonly #used = new Map<string, number>();
  #node: Node | undefined;

  /** @param resources the node's allocatable ones */
  constructor(nodeName: string, resources: Readonly<Record<string, string>>) {
    this.#nodeName = nodeName;
    this.#capacity = allocatable(resources);
  }

  /** The node has more or less than before; pods that are here stay. */
  resize(resources: Readonly<Record<string, string>>): void {
    this.#capacity = allocatable(resources);
  }

  /** The Node as the API server has it now. */
  observe(node: Node | undefined): void {
    this.#node = node ?? this.#node;
  }

  /** Takes the pod in, or says why not. One that has been let in before stays. */
  admit(pod: Pod): Refusal | undefined {
    if (this.#shares.has(podRef(pod).uid)) return undefined;
    const refusal = decideAdmission(pod, {
      nodeName: this.#nodeName,
      node: this.#node,
      capacity: this.#capacity,
      used: this.#used,
      pods: this.#shares.size,
      ports: [...this.#shares.values()].flatMap(({ ports }) => ports),
    });
    if (!refusal) this.take(pod);
    return refusal;
  }

  /** A pod that is here already, started by an earlier agent: it has its share, whatever that leaves. */
  take(pod: Pod): void {
    const { uid } = podRef(pod);
    if (this.#shares.has(uid)) return;
    const share = { requests: podRequests(pod), ports: hostPorts(pod) };
    this.#shares.set(uid, share);
    this.#count(share, 1);
  }

  /** Nothing of the pod runs any more. */
  release(uid: string): void {
    const share = this.#shares.get(uid);
    if (!share) return;
    this.#shares.delete(uid);
    this.#count(share, -1);
  }

  #count({ requests }: Share, sign: 1 | -1): void {
    for (const [name, amount] of requests) this.#used.set(name, (this.#used.get(name) ?? 0) + sign * amount);
  }
}
