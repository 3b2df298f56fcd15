import type { KubeClient } from "../kube/client.ts";
import type { ServiceAddress } from "../kube/objectSource.ts";
import { paths } from "../kube/paths.ts";
import type { Service } from "../kube/types.ts";
import type { Logger } from "../telemetry/log.ts";

const deadlineMs = 5_000;

interface Namespace {
  known: ServiceAddress[];
  /** A list that is on its way may be older than a Service that somebody who asks now counts on: the next one is theirs. */
  running: Promise<ServiceAddress[]> | undefined;
  next: Promise<ServiceAddress[]> | undefined;
}

/**
 * The Services of namespaces, listed when a pod starts, one request at a time for all who ask meanwhile: a watch of all of them would
 * cost more memory than the whole agent on a large cluster. What can't be had must not keep a container from its restart: then the last
 * list counts, or none.
 */
export class Services {
  readonly #options: { client: KubeClient; log: Logger };
  readonly #namespaces = new Map<string, Namespace>();

  constructor(options: { client: KubeClient; log: Logger }) {
    this.#options = options;
  }

  async of(namespace: string, signal: AbortSignal): Promise<ServiceAddress[]> {
    const asked = this.#namespaces.get(namespace) ?? { known: [], running: undefined, next: undefined };
    this.#namespaces.set(namespace, asked);
    const services = await this.#ask(namespace, asked);
    signal.throwIfAborted();
    return services;
  }

  #ask(namespace: string, asked: Namespace): Promise<ServiceAddress[]> {
    if (!asked.running) {
      asked.running = this.#list(namespace, asked).finally(() => {
        asked.running = undefined;
      });
      return asked.running;
    }
    asked.next ??= asked.running.then(() => {
      asked.next = undefined;
      return this.#ask(namespace, asked);
    });
    return asked.next;
  }

  async #list(namespace: string, asked: Namespace): Promise<ServiceAddress[]> {
    const { client, log } = this.#options;
    const signal = AbortSignal.timeout(deadlineMs);
    try {
      const { items } = await client.list<Service>(paths.services(namespace), { signal });
      asked.known = items.map(address);
    } catch (error) {
      log.warn(
        { err: error, namespace },
        "Services could not be listed: new containers are told what was known, or nothing",
      );
    }
    return asked.known;
  }
}

function address({ metadata, spec }: Service): ServiceAddress {
  const ports = (spec?.ports ?? []).map(({ name = "", protocol = "TCP", port }) => ({ name, protocol, port }));
  return { name: metadata?.name ?? "", clusterIP: spec?.clusterIP ?? "", ports };
}
