import type { Clock } from "../clock.ts";
import { onAbort } from "../kube/abort.ts";
import { isNotFound } from "../kube/apiError.ts";
import type { KubeClient } from "../kube/client.ts";
import type {
  BoundClaim,
  ObjectSource,
  ServiceAccountToken,
  ServiceAccountTokenRequest,
  ServiceAddress,
} from "../kube/objectSource.ts";
import { paths } from "../kube/paths.ts";
import { followObject } from "../kube/reflector.ts";
import type { BackoffOptions } from "../kube/retry.ts";
import type { KubeObject, PersistentVolume, PersistentVolumeClaim, ReferencedKinds } from "../kube/types.ts";
import type { Logger } from "../telemetry/log.ts";
import { readError, retryForbidden } from "./forbidden.ts";
import { LruMap } from "./lru.ts";
import { Services } from "./services.ts";
import { Tokens } from "./tokens.ts";

export interface ApiObjectsOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  /** Between the tries after a 403, and of a watch that fails. @default 20 ms to 400 ms, and 200 ms to 30 s */
  backoff?: BackoffOptions;
}

type Kind = keyof ReferencedKinds;

const collection: Record<Kind, (namespace: string, name?: string) => string> = {
  ConfigMap: paths.configMaps,
  Secret: paths.secrets,
};

/** How many versions are remembered, to tell a change from what a reader already has. */
const rememberedVersions = 4096;
const absent = "";

interface Reading {
  result: Promise<KubeObject | undefined>;
  stop: AbortController;
  readers: number;
}

interface Watching {
  /** undefined before the first event; `absent` where the object was deleted */
  version: string | undefined;
  subscribers: Set<() => void>;
  stop: AbortController;
}

/**
 * ConfigMaps and Secrets straight from the API server, each by its name, as the Node authorizer wants it. Holds no object
 * longer than it is on its way: what is read at the same time is read once, what is watched by several is watched once.
 */
export function createApiObjects(options: ApiObjectsOptions): Required<ObjectSource> {
  return new ApiObjects(options);
}

class ApiObjects implements Required<ObjectSource> {
  readonly #options: ApiObjectsOptions;
  readonly #readings = new Map<string, Reading>();
  readonly #watchings = new Map<string, Watching>();
  /** Of what `get` gave last. */
  readonly #read = new LruMap<string>(rememberedVersions);

  readonly #tokens: Tokens;
  readonly #services: Services;

  constructor(options: ApiObjectsOptions) {
    this.#options = options;
    this.#tokens = new Tokens(options);
    this.#services = new Services(options);
  }

  /** @throws {HostletError} ApiFailed: the message names the object and what the API server said */
  get<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<ReferencedKinds[K] | undefined> {
    const key = keyOf(kind, namespace, name);
    let reading = this.#readings.get(key);
    if (!reading) {
      reading = this.#startReading(kind, namespace, name);
      this.#readings.set(key, reading);
    }
    return this.#join(key, reading, signal) as Promise<ReferencedKinds[K] | undefined>;
  }

  watch(kind: Kind, namespace: string, name: string, changed: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    const key = keyOf(kind, namespace, name);
    const watching = this.#watchings.get(key) ?? this.#startWatching(kind, namespace, name);
    const subscriber = () => {
      if (!signal.aborted) changed();
    };
    watching.subscribers.add(subscriber);
    onAbort(signal, () => {
      watching.subscribers.delete(subscriber);
      if (watching.subscribers.size > 0) return;
      watching.stop.abort();
      if (this.#watchings.get(key) === watching) this.#watchings.delete(key);
    });
    // it changed after the subscriber read it, and before it subscribed
    if (watching.version !== undefined && watching.version !== this.#read.get(key)) queueMicrotask(subscriber);
  }

  /** @throws {HostletError} ApiFailed: the message names the service account and what the API server said */
  serviceAccountToken(request: ServiceAccountTokenRequest, signal: AbortSignal): Promise<ServiceAccountToken> {
    return this.#tokens.get(request, signal);
  }

  get server(): string {
    return this.#options.client.server;
  }

  /** @throws {HostletError} ApiFailed */
  async claim(namespace: string, name: string, signal: AbortSignal): Promise<BoundClaim | undefined> {
    const claim = await this.#getOnce<PersistentVolumeClaim>(paths.persistentVolumeClaims(namespace, name), signal);
    const volumeName = claim?.spec?.volumeName;
    // Until then the Node authorizer knows of no relationship between this node and the volume.
    if (!claim || !volumeName || claim.status?.phase !== "Bound") return claim && { claim };
    const volume = await this.#getOnce<PersistentVolume>(paths.persistentVolumes(volumeName), signal);
    return { claim, ...(volume && { volume }) };
  }

  services(namespace: string, signal: AbortSignal): Promise<ServiceAddress[]> {
    return this.#services.of(namespace, signal);
  }

  async #getOnce<T>(path: string, signal: AbortSignal): Promise<T | undefined> {
    const { client } = this.#options;
    const read = () =>
      client.get<T>(path, { signal }).catch((error) => {
        if (isNotFound(error)) return undefined;
        throw error;
      });
    try {
      return await retryForbidden(read, this.#options, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw readError(path.split("/").slice(-2).join(" "), cause);
    }
  }

  #startReading(kind: Kind, namespace: string, name: string): Reading {
    const { client } = this.#options;
    const key = keyOf(kind, namespace, name);
    const stop = new AbortController();
    const { signal } = stop;
    const read = async (): Promise<KubeObject | undefined> => {
      try {
        return await client.get<KubeObject>(collection[kind](namespace, name), { signal });
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    };
    const reading: Reading = {
      stop,
      readers: 0,
      result: retryForbidden(read, this.#options, signal)
        .then((object) => {
          this.#read.set(key, versionOf(object));
          return object;
        })
        .catch((cause: unknown) => {
          throw signal.aborted ? signal.reason : readError(`${kind} ${namespace}/${name}`, cause);
        })
        .finally(() => this.#forget(key, reading)),
    };
    return reading;
  }

  #join(key: string, reading: Reading, signal: AbortSignal): Promise<KubeObject | undefined> {
    reading.readers++;
    return new Promise((resolve, reject) => {
      const ignoreAbort = onAbort(signal, () => {
        reject(signal.reason);
        if (--reading.readers > 0) return;
        this.#forget(key, reading);
        reading.stop.abort(signal.reason);
      });
      reading.result.then(resolve, reject).finally(ignoreAbort);
    });
  }

  #forget(key: string, reading: Reading): void {
    if (this.#readings.get(key) === reading) this.#readings.delete(key);
  }

  #startWatching(kind: Kind, namespace: string, name: string): Watching {
    const key = keyOf(kind, namespace, name);
    const { client, clock, log, backoff } = this.#options;
    const watching: Watching = { version: undefined, subscribers: new Set(), stop: new AbortController() };
    this.#watchings.set(key, watching);
    const seen = (version: string) => {
      const before = watching.version ?? this.#read.get(key);
      watching.version = version;
      if (version !== before) tell();
    };
    const tell = () => {
      // a reading that is on its way may be older than this change
      this.#readings.delete(key);
      for (const subscriber of [...watching.subscribers]) subscriber();
    };
    void followObject<KubeObject>({
      client,
      clock,
      log,
      path: collection[kind](namespace),
      name,
      signal: watching.stop.signal,
      // the kubelet, too, asks for longer watches of single objects, as there are many of them
      watchSeconds: 1800 + Math.floor(Math.random() * 1800),
      onGap: tell,
      onEvent: (type, object) => seen(type === "DELETED" ? absent : versionOf(object)),
      ...(backoff ? { backoff } : {}),
    });
    return watching;
  }
}

function keyOf(kind: Kind, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

function versionOf(object: KubeObject | undefined): string {
  return object?.metadata?.resourceVersion ?? absent;
}
