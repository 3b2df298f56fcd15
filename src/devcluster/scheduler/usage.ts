import { type Amounts, type HostPort, hostPorts, podRequests } from "../../kube/scheduling/requests.ts";
import type { Pod } from "../../kube/types.ts";

interface Share {
  node: string;
  requests: Amounts;
  ports: HostPort[];
}

interface Total {
  used: Map<string, number>;
  pods: number;
  ports: HostPort[];
}

/** What the pods take of each node, kept up to date pod by pod, so that a decision needn't look at all of them. */
export class Usage {
  readonly #shares = new Map<string, Share>();
  readonly #totals = new Map<string, Total>();

  /** @param pod as it is now; undefined when it has gone */
  set(key: string, pod: Pod | undefined): void {
    const phase = pod?.status?.phase;
    const ended = phase === "Succeeded" || phase === "Failed";
    const node = ended ? undefined : pod?.spec?.nodeName;
    const old = this.#shares.get(key);
    if (old?.node === node) return;
    if (old) {
      this.#apply(old, -1);
      this.#shares.delete(key);
    }
    if (!pod || !node) return;
    const share = { node, requests: podRequests(pod), ports: hostPorts(pod) };
    this.#shares.set(key, share);
    this.#apply(share, 1);
  }

  of(node: string): Total {
    return this.#totals.get(node) ?? { used: new Map(), pods: 0, ports: [] };
  }

  #apply(share: Share, sign: 1 | -1): void {
    const total = this.of(share.node);
    this.#totals.set(share.node, total);
    total.pods += sign;
    for (const [name, amount] of share.requests) total.used.set(name, (total.used.get(name) ?? 0) + sign * amount);
    if (sign > 0) total.ports.push(...share.ports);
    else total.ports = total.ports.filter((port) => !share.ports.includes(port));
  }
}
