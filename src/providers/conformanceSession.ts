import { systemClock } from "../clock.ts";
import type { LogOptions } from "../kube/logOptions.ts";
import type { PodUpdate } from "../kube/podUpdate.ts";
import type { Pod, PodRef, PodStatus } from "../kube/types.ts";
import { silentLogger } from "../telemetry/log.ts";
import type { Provider, ProviderContext } from "./contract.ts";

/** What a Provider brings for its conformance tests; made anew for each of them. */
export interface ProviderHarness {
  /** The Provider of one agent. Called again after its stop, it is the next agent over what the one before has left. */
  open(context: ProviderContext): Provider;
  /** Ends what still runs, and removes what was made. */
  dispose(): Promise<void>;
}

/** One Provider after the other over the same ground, and everything that they have reported. */
export class ProviderSession {
  readonly updates: PodUpdate[] = [];
  readonly #harness: ProviderHarness;
  readonly #waiting = new Set<() => void>();
  provider: Provider;

  constructor(harness: ProviderHarness) {
    this.#harness = harness;
    this.provider = this.#open();
  }

  #open(): Provider {
    return this.#harness.open({
      objects: { get: async () => undefined, watch: () => {} },
      events: { emit: () => {} },
      clock: systemClock,
      log: silentLogger,
      report: (update) => {
        this.updates.push(structuredClone(update));
        for (const check of this.#waiting) check();
      },
    });
  }

  /** The agent ends, the next one begins and finds again what ran. */
  async nextAgent(): Promise<Pod[]> {
    await this.provider.stop();
    this.provider = this.#open();
    return this.provider.recover();
  }

  of(pod: Pod): PodUpdate[] {
    return this.updates.filter((update) => update.pod.uid === pod.metadata?.uid);
  }

  /** The pod's first update from the `since`th on that the condition holds for, waited for where there is none yet. */
  update(pod: Pod, condition: (update: PodUpdate) => boolean, since = 0): Promise<PodUpdate> {
    return new Promise((resolve) => {
      const check = () => {
        const found = this.of(pod).slice(since).find(condition);
        if (!found) return;
        this.#waiting.delete(check);
        resolve(found);
      };
      this.#waiting.add(check);
      check();
    });
  }

  async phase(pod: Pod, phase: string, since = 0): Promise<PodStatus> {
    return (await this.update(pod, ({ status }) => status.phase === phase, since)).status;
  }

  async gone(pod: Pod): Promise<void> {
    await this.update(pod, (update) => update.gone);
  }

  /** The pod as the API server would have it after the last report. */
  stored(pod: Pod): Pod {
    return { ...pod, status: this.of(pod).at(-1)?.status ?? {} };
  }

  async log(pod: PodRef, container: string, options: Partial<LogOptions> = {}): Promise<string> {
    const all = { follow: false, previous: false, timestamps: false, ...options };
    const chunks: Uint8Array[] = [];
    const abort = new AbortController();
    for await (const chunk of this.provider.logs(pod, container, all, abort.signal)) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }
}

let made = 0;

/** A pod of one container `main` that runs `script` in a shell. */
export function scriptPod(script: string, name = ""): Pod {
  const uid = `11111111-2222-4333-8444-${String(++made).padStart(12, "0")}`;
  return {
    metadata: { namespace: "default", name: name || `pod-${made}`, uid },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 30,
      containers: [{ name: "main", command: ["/bin/sh", "-c", script] }],
    },
  };
}
