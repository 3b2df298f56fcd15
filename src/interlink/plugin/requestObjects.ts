import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onAbort } from "../../kube/abort.ts";
import type { ObjectSource } from "../../kube/objectSource.ts";
import type { ConfigMap, Pod, ReferencedKinds, Secret } from "../../kube/types.ts";
import type { Logger } from "../../telemetry/log.ts";

/** What came with one pod. */
export interface PodObjects {
  configMaps: ConfigMap[];
  secrets: Secret[];
  /** The pod itself: it was accepted, though the Provider may not have written it down before the plugin was killed. */
  pod?: Pod;
  /** It was asked to be deleted: it is never created again. */
  ending?: boolean;
}

type Kind = keyof ReferencedKinds;

/**
 * The objects that came with pods' create calls, as the Provider's source of them. They are kept, for this user alone, as long as
 * the pod is: a container that is started again after a restart of the plugin needs them. Of several pods of a namespace that brought an
 * object of one name, the last one counts.
 */
export class RequestObjects implements ObjectSource {
  readonly #dir: string;
  readonly #byPod = new Map<string, PodObjects>();
  readonly #watches = new Map<string, Set<() => void>>();

  constructor(stateDir: string, log: Logger) {
    this.#dir = join(stateDir, "objects");
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#dir).sort()) {
      const file = join(this.#dir, name);
      if (!name.endsWith(".json")) {
        rmSync(file, { force: true });
        continue;
      }
      try {
        this.#byPod.set(name.slice(0, -5), JSON.parse(readFileSync(file, "utf8")) as PodObjects);
      } catch (error) {
        log.error({ err: error, name }, "what came with a pod can't be read");
      }
    }
  }

  /** @param uid checked to be a file's name */
  set(uid: string, objects: PodObjects): void {
    const file = join(this.#dir, `${uid}.json`);
    writeFileSync(`${file}.new`, JSON.stringify(objects), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    this.#byPod.delete(uid);
    this.#byPod.set(uid, objects);
    const told = [
      ...objects.configMaps.map((object) => keyOf("ConfigMap", object.metadata?.namespace, object.metadata?.name)),
      ...objects.secrets.map((object) => keyOf("Secret", object.metadata?.namespace, object.metadata?.name)),
    ];
    for (const key of told) for (const changed of this.#watches.get(key) ?? []) queueMicrotask(changed);
  }

  remove(uid: string): void {
    this.#byPod.delete(uid);
    rmSync(join(this.#dir, `${uid}.json`), { force: true });
  }

  /** What is written down here must hold after a kill, too. */
  markEnding(uid: string): void {
    const objects = this.#byPod.get(uid);
    if (objects && !objects.ending) this.set(uid, { ...objects, ending: true });
  }

  /**
   * Removes what is of no pod that is to be here.
   * @param found by the Provider
   * @returns pods that were accepted and are not ending: those that were found, and those that the Provider never got to know
   */
  settle(found: ReadonlySet<string>): Pod[] {
    const accepted: Pod[] = [];
    for (const [uid, { pod, ending }] of this.#byPod) {
      if (pod && !ending) accepted.push(pod);
      else if (!found.has(uid)) this.remove(uid);
    }
    return accepted;
  }

  async get<K extends Kind>(kind: K, namespace: string, name: string): Promise<ReferencedKinds[K] | undefined> {
    for (const objects of [...this.#byPod.values()].reverse()) {
      const some: (ConfigMap | Secret)[] = kind === "ConfigMap" ? objects.configMaps : objects.secrets;
      const found = some.find(({ metadata }) => metadata?.name === name && metadata?.namespace === namespace);
      if (found) return found as ReferencedKinds[K];
    }
    return undefined;
  }

  watch(kind: Kind, namespace: string, name: string, changed: () => void, signal: AbortSignal): void {
    const key = keyOf(kind, namespace, name);
    const callbacks = this.#watches.get(key) ?? new Set();
    this.#watches.set(key, callbacks.add(changed));
    onAbort(signal, () => {
      callbacks.delete(changed);
      if (callbacks.size === 0 && this.#watches.get(key) === callbacks) this.#watches.delete(key);
    });
  }
}

function keyOf(kind: Kind, namespace: string | undefined, name: string | undefined): string {
  return `${kind}/${namespace}/${name}`;
}
