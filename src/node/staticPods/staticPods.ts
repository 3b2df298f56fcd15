import { type FSWatcher, watch } from "node:fs";
import type { Clock } from "../../clock.ts";
import { isAlreadyExists, isNotFound } from "../../kube/apiError.ts";
import type { KubeClient } from "../../kube/client.ts";
import { paths } from "../../kube/paths.ts";
import type { PodUpdate } from "../../kube/podUpdate.ts";
import { type Node, type Pod, type PodRef, type PodStatus, podRef } from "../../kube/types.ts";
import type { Provider } from "../../providers/contract.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Admission } from "../admission.ts";
import { isStatic } from "../admissionDecision.ts";
import { isMirrorOf, mirrorOf } from "./mirror.ts";
import { readStaticManifests } from "./readManifests.ts";

export interface StaticPodsOptions {
  /** Undefined: there are none, and mirrors that are left are removed. */
  path: string | undefined;
  nodeName: string;
  provider: Pick<Provider, "create" | "delete" | "list">;
  admission: Pick<Admission, "admit" | "take" | "release">;
  client: Pick<KubeClient, "create" | "delete">;
  writer: { set(update: PodUpdate): void; forget(uid: string): void };
  /** Between looks at the files where no news of them come, in ms. */
  everyMs: number;
  clock: Clock;
  log: Logger;
}

/** After a request for a mirror pod that failed. */
const againMs = 5_000;
/** Whoever writes a file writes it in parts. */
const quietMs = 50;

/**
 * Pods from files of this node: started and ended as the files come and go, whether or not there is an API server. There a mirror pod stands for each, is
 * made again when it is deleted, and shows its status; deleting it does nothing to the pod.
 */
export class StaticPods {
  readonly #options: StaticPodsOptions;
  /** As the files have them. */
  #wanted = new Map<string, Pod>();
  /** What the Provider has, by UID. */
  readonly #here = new Map<string, Pod>();
  readonly #ending = new Set<string>();
  readonly #statuses = new Map<string, PodStatus>();
  /** On the API server, by `namespace/name`; undefined before the first list. */
  #mirrors: Map<string, Pod> | undefined;
  #node: Node | undefined;
  #watcher: FSWatcher | undefined;
  #cancelRead: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #working: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #told = "";

  constructor(options: StaticPodsOptions) {
    this.#options = options;
  }

  /** @param recovered what the Provider found again */
  start(recovered: readonly Pod[]): void {
    for (const pod of recovered.filter(isStatic)) {
      this.#here.set(podRef(pod).uid, pod);
      this.#options.admission.take(pod);
    }
    this.#read();
  }

  owns(uid: string): boolean {
    return this.#here.has(uid);
  }

  /** News of a pod that is `owns`. */
  report({ pod, status, gone }: PodUpdate): void {
    const { admission } = this.#options;
    if (gone || status.phase === "Succeeded" || status.phase === "Failed") admission.release(pod.uid);
    if (gone) {
      this.#here.delete(pod.uid);
      this.#ending.delete(pod.uid);
      this.#statuses.delete(pod.uid);
      this.#sync();
      return;
    }
    this.#statuses.set(pod.uid, status);
    this.#tell(pod.uid);
  }

  observe(node: Node | undefined): void {
    const before = this.#node?.metadata?.uid;
    this.#node = node;
    if (node && node.metadata?.uid !== before) this.#sync();
  }

  /** All mirror pods of this node. */
  mirrors(pods: Pod[]): void {
    this.#mirrors = new Map(pods.map((pod) => [keyOf(pod), pod]));
    this.#sync();
  }

  mirrorChanged(pod: Pod): void {
    const before = this.#mirrors?.get(keyOf(pod));
    this.#mirrors?.set(keyOf(pod), pod);
    if (before?.metadata?.uid !== pod.metadata?.uid || pod.metadata?.deletionTimestamp) this.#sync();
  }

  mirrorRemoved(pod: Pod): void {
    const { uid } = podRef(pod);
    this.#options.writer.forget(uid);
    if (this.#mirrors?.get(keyOf(pod))?.metadata?.uid === uid) this.#mirrors.delete(keyOf(pod));
    this.#sync();
  }

  /** Lets go; the pods run on. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watcher?.close();
    this.#cancelRead?.();
    this.#cancelRetry?.();
    await this.#working;
  }

  #read(): void {
    const { path, nodeName, log, clock, everyMs } = this.#options;
    if (this.#stopped || path === undefined) return;
    try {
      const { pods, problems } = readStaticManifests(path, nodeName);
      this.#wanted = pods;
      const told = problems.join("\n");
      if (told !== this.#told) for (const problem of problems) log.error(`static pods: ${problem}`);
      this.#told = told;
    } catch (error) {
      log.error({ err: error }, "static pods: the manifests can't be read; what runs stays");
    }
    this.#watch(path);
    this.#cancelRead?.();
    this.#cancelRead = clock.after(everyMs, () => this.#read());
    this.#start();
    this.#sync();
  }

  /** Where the file system tells; else the clock does. */
  #watch(path: string): void {
    if (this.#watcher) return;
    try {
      this.#watcher = watch(path, { persistent: false }, () => {
        this.#cancelRead?.();
        this.#cancelRead = this.#options.clock.after(quietMs, () => this.#read());
      });
      // A file that is replaced, or a directory that is removed, is another one: it is watched from the next look on.
      this.#watcher.on("error", () => this.#unwatch());
      this.#watcher.on("change", (event) => event === "rename" && this.#unwatch());
    } catch {
      this.#watcher = undefined;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  /** Ends what no file has any more, and starts what one has, as soon as an older pod of the name is gone. */
  #start(): void {
    const { provider, admission, log } = this.#options;
    for (const [uid, pod] of this.#here) {
      if (this.#wanted.has(uid) || this.#ending.has(uid)) continue;
      this.#ending.add(uid);
      provider.delete(pod, pod.spec?.terminationGracePeriodSeconds ?? 30);
    }
    const taken = new Set([...this.#here.values()].map(keyOf));
    for (const [uid, pod] of this.#wanted) {
      if (this.#here.has(uid) || taken.has(keyOf(pod))) continue;
      const refusal = admission.admit(pod);
      if (refusal) {
        log.error(`static pods: ${keyOf(pod)} was rejected: ${refusal.reason}: ${refusal.message}`);
        continue;
      }
      this.#here.set(uid, pod);
      provider.create(pod);
    }
  }

  #sync(): void {
    if (this.#stopped) return;
    this.#start();
    this.#again = true;
    this.#working ??= this.#reconcile().finally(() => {
      this.#working = undefined;
      if (this.#again) this.#sync();
    });
  }

  /** Makes the mirror pods what they should be. One request at a time; what fails is tried again later. */
  async #reconcile(): Promise<void> {
    const { clock, log } = this.#options;
    this.#again = false;
    this.#cancelRetry?.();
    try {
      if (this.#node && this.#mirrors) await this.#reconcileWith(this.#node, this.#mirrors);
    } catch (error) {
      if (this.#stopped) return;
      log.warn({ err: error }, "static pods: a mirror pod could not be made what it should be; trying again");
      this.#cancelRetry = clock.after(againMs, () => this.#sync());
    }
  }

  async #reconcileWith(node: Node, mirrors: Map<string, Pod>): Promise<void> {
    const { client } = this.#options;
    const pods = [...this.#here.values()];
    const wanted = new Map(pods.filter((pod) => this.#wanted.has(podRef(pod).uid)).map((pod) => [keyOf(pod), pod]));
    for (const [key, mirror] of [...mirrors]) {
      // One that still ends keeps its mirror until it has.
      if (pods.some((pod) => keyOf(pod) === key && isMirrorOf(mirror, pod))) continue;
      await this.#removeMirror(podRef(mirror));
      if (mirrors.get(key) === mirror) mirrors.delete(key);
    }
    for (const [key, pod] of wanted) {
      if (mirrors.has(key) || this.#stopped) continue;
      try {
        const { namespace = "" } = pod.metadata ?? {};
        mirrors.set(key, await client.create<Pod>(paths.pods(namespace), mirrorOf(pod, node)));
      } catch (error) {
        // The watch is about to tell of it.
        if (!isAlreadyExists(error)) throw error;
      }
      this.#tell(podRef(pod).uid);
    }
  }

  async #removeMirror({ namespace, name, uid }: PodRef): Promise<void> {
    const { client, writer } = this.#options;
    writer.forget(uid);
    await client
      .delete(paths.pods(namespace, name), { gracePeriodSeconds: 0, preconditions: { uid } })
      .catch((error) => {
        if (!isNotFound(error)) throw error;
      });
  }

  /** The mirror shows what is known of the pod. */
  #tell(uid: string): void {
    const pod = this.#here.get(uid);
    const status = this.#statuses.get(uid);
    const mirror = pod && this.#mirrors?.get(keyOf(pod));
    if (pod && mirror && status && isMirrorOf(mirror, pod)) {
      this.#options.writer.set({ pod: podRef(mirror), status, gone: false });
    }
  }
}

function keyOf(pod: Pod): string {
  return `${pod.metadata?.namespace}/${pod.metadata?.name}`;
}
