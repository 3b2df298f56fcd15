import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../../clock.ts";
import type { PodEvent } from "../../../kube/events.ts";
import type { ObjectSource } from "../../../kube/objectSource.ts";
import type { PodUpdate } from "../../../kube/podUpdate.ts";
import type { Container, Pod, PodSpec, PodStatus } from "../../../kube/types.ts";
import type { PreparedContainer, PreparedPod, Preparer } from "../../../kubelet/deps.ts";
import type { NodeDevices } from "../../../kubelet/devices/find.ts";
import { DeviceLedger } from "../../../kubelet/devices/ledger.ts";
import { type PathLayout, PodFiles } from "../../../kubelet/podFiles.ts";
import { referencedObjects } from "../../../kubelet/references.ts";
import type { ImageService } from "../../../runtimes/images.ts";
import { silentLogger } from "../../../telemetry/log.ts";
import { LocalProvider } from "../index.ts";
import { FakeHost, FakeRuntime } from "./fakeRuntime.ts";

/** A Preparer whose answers a test replaces. Runs `command` and `args` as they stand. */
export class FakePreparer implements Preparer {
  onPod: (pod: Pod, signal: AbortSignal) => Promise<void> | void = () => {};
  onContainer: (pod: Pod, container: Container, signal: AbortSignal) => Promise<void> | void = () => {};
  onRefresh: (pod: Pod, signal: AbortSignal) => Promise<void> | void = () => {};
  /** Of every pod. */
  refreshAt: number | undefined;
  setUps = 0;
  refreshes = 0;

  async pod(pod: Pod, _paths: unknown, signal: AbortSignal): Promise<PreparedPod> {
    this.setUps++;
    await this.onPod(pod, signal);
    const refreshAt = () => this.refreshAt;
    return {
      refs: referencedObjects(pod),
      warnings: [],
      get refreshAt() {
        return refreshAt();
      },
      refresh: async (current, refreshSignal) => {
        this.refreshes++;
        await this.onRefresh(current, refreshSignal);
        return [];
      },
    };
  }

  async container(
    pod: Pod,
    container: Container,
    _prepared: PreparedPod,
    _paths: unknown,
    signal: AbortSignal,
  ): Promise<PreparedContainer> {
    await this.onContainer(pod, container, signal);
    const argv = [...(container.command ?? ["sleep"]), ...(container.args ?? [])];
    return { argv, env: {}, mounts: [], warnings: [] };
  }
}

/** Objects that only tell that they changed. */
export class FakeObjects implements ObjectSource {
  readonly #watches = new Map<string, Set<() => void>>();

  get watched(): string[] {
    return [...this.#watches].filter(([, callbacks]) => callbacks.size > 0).map(([key]) => key);
  }

  async get(): Promise<undefined> {
    return undefined;
  }

  watch(kind: string, namespace: string, name: string, changed: () => void, signal: AbortSignal): void {
    const key = `${kind} ${namespace}/${name}`;
    const callbacks = this.#watches.get(key) ?? new Set();
    this.#watches.set(key, callbacks.add(changed));
    signal.addEventListener("abort", () => callbacks.delete(changed), { once: true });
  }

  changed(key: string): void {
    for (const callback of this.#watches.get(key) ?? []) callback();
  }
}

/** A host with a local provider on it, in a temporary directory. `restart()` is the next agent on the same host. */
export class FakeNode {
  readonly root = mkdtempSync(join(tmpdir(), "hostlet-local-"));
  readonly stateDir = join(this.root, "state");
  readonly podsDir = join(this.root, "pods");
  /** As they were when they were reported. */
  readonly updates: PodUpdate[] = [];
  /** The very objects that were reported, by pod UID. */
  readonly statuses = new Map<string, PodStatus[]>();
  readonly events: PodEvent[] = [];
  readonly objects = new FakeObjects();
  readonly preparer = new FakePreparer();
  readonly host: FakeHost;
  readonly #clock: Clock;
  readonly #layout: PathLayout;
  /** Of the next agent. */
  devices: NodeDevices = new Map();
  provider: LocalProvider;

  constructor(clock: Clock, layout: PathLayout = "namespace", images?: ImageService) {
    this.#clock = clock;
    this.#layout = layout;
    this.host = new FakeHost(clock);
    this.host.images = images;
    this.provider = this.#newProvider();
  }

  #newProvider(): LocalProvider {
    const { stateDir, podsDir } = this;
    return new LocalProvider({
      context: {
        objects: this.objects,
        events: { emit: (event) => this.events.push(event) },
        clock: this.#clock,
        log: silentLogger,
        report: (update) => {
          this.updates.push(structuredClone(update));
          const { uid } = update.pod;
          this.statuses.set(uid, [...(this.statuses.get(uid) ?? []), update.status]);
        },
      },
      runtime: new FakeRuntime(this.host),
      files: new PodFiles({ stateDir, podsDir, layout: this.#layout }),
      preparer: this.preparer,
      hostIP: "10.1.2.3",
      devices: new DeviceLedger(this.devices),
      rights: { uid: 1000, gid: 1000, groups: [], capabilities: new Set(), selinux: false },
    });
  }

  /** The agent ends and another one begins; what it found is returned. */
  async restart(): Promise<Pod[]> {
    await this.provider.stop();
    this.provider = this.#newProvider();
    return this.provider.recover();
  }

  async dispose(): Promise<void> {
    await this.provider.stop();
    rmSync(this.root, { recursive: true, force: true });
  }

  dir(pod: Pod): string {
    return join(this.stateDir, "pods", pod.metadata?.uid ?? "");
  }

  updatesOf(pod: Pod): PodUpdate[] {
    return this.updates.filter((update) => update.pod.uid === pod.metadata?.uid);
  }

  /** The latest news of a pod in a few words: `Running main=running`, `Failed main=exit 3`. */
  said(pod: Pod): string {
    return this.story(pod).at(-1) ?? "";
  }

  isGone(pod: Pod): boolean {
    return this.updatesOf(pod).at(-1)?.gone === true;
  }

  /** Every news of a pod in a few words. */
  story(pod: Pod): string[] {
    return this.updatesOf(pod).map(({ status, gone }) => {
      if (gone) return "gone";
      const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
      const words = containers.map(({ name, state, restartCount }) => {
        const what = state?.terminated
          ? `exit ${state.terminated.exitCode}`
          : (state?.waiting?.reason ?? (state?.running ? "running" : "?"));
        return `${name}=${what}${restartCount > 0 ? ` (${restartCount})` : ""}`;
      });
      return [status.phase, ...words].join(" ");
    });
  }

  reasons(): string[] {
    return this.events.map((event) => event.reason);
  }
}

let pods = 0;

/** A pod with one container `main` that runs until it is ended, unless `spec` says otherwise. */
export function makePod(spec: Partial<PodSpec> = {}, metadata: Pod["metadata"] = {}): Pod {
  const n = ++pods;
  return {
    metadata: { namespace: "default", name: `p${n}`, uid: `uid-${n}`, ...metadata },
    spec: { containers: [{ name: "main" }], ...spec },
  };
}
