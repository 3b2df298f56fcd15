import type { PersistentVolume, PersistentVolumeClaim, PodRef, ReferencedKinds } from "./types.ts";

/** Which token is wanted: of a service account of the pod's namespace, good only as long as the pod exists. */
export interface ServiceAccountTokenRequest {
  /** The service account's namespace, and so the pod's. */
  namespace: string;
  /** The service account. */
  name: string;
  pod: PodRef;
  /** Whom the token is for; absent: the API server. */
  audiences?: string[];
  /** Seconds. An API server gives no less than 600, and may give other than asked for. */
  expirationSeconds: number;
}

export interface ServiceAccountToken {
  /** A secret. */
  token: string;
  /** Milliseconds since the epoch, as whoever issued it has the time. */
  expiresAt: number;
  /** When to ask again, in milliseconds of this host's clock. Always to come. */
  refreshAt: number;
}

/** A claim, and the volume that it says it is bound to, where there is one. */
export interface BoundClaim {
  claim: PersistentVolumeClaim;
  volume?: PersistentVolume;
}

/** Of a Service, what pods are told in variables. */
export interface ServiceAddress {
  name: string;
  /** Empty or `None` where it has none. */
  clusterIP: string;
  ports: { name: string; protocol: string; port: number }[];
}

/**
 * What a pod refers to, wherever it comes from: the API server on a node, the request's body in a plugin.
 * A Provider reads ConfigMaps and Secrets through this and through nothing else.
 */
export interface ObjectSource {
  /** The object as it stands; undefined where it does not exist. Rejects on every other failure (the caller retries). */
  get<K extends keyof ReferencedKinds>(
    kind: K,
    namespace: string,
    name: string,
    signal: AbortSignal,
  ): Promise<ReferencedKinds[K] | undefined>;
  /**
   * Calls back (with nothing: read again) whenever the object may have changed, appeared or vanished, until `signal`
   * aborts. A source whose objects never change need not call at all.
   */
  watch(kind: keyof ReferencedKinds, namespace: string, name: string, changed: () => void, signal: AbortSignal): void;
  /**
   * A token of the service account, bound to the pod. A source gives the same one until its `refreshAt`, and for as long as
   * it holds where a newer one can't be had. What it keeps for that it forgets when `signal` aborts: let that be the pod's end.
   * Absent: this source has no tokens.
   * @throws what `get` throws: the caller tries again
   */
  serviceAccountToken?(request: ServiceAccountTokenRequest, signal: AbortSignal): Promise<ServiceAccountToken>;
  /**
   * Undefined where there is no such claim. Can't be watched: whoever waits for it asks again. Absent: this source has no claims.
   * @throws what `get` throws
   */
  claim?(namespace: string, name: string, signal: AbortSignal): Promise<BoundClaim | undefined>;
  /** The Services of a namespace, some seconds old perhaps; none where they can't be had. Absent: likewise. */
  services?(namespace: string, signal: AbortSignal): Promise<ServiceAddress[]>;
  /** URL of the API server, as it is reached from this host. Absent: there is none. */
  readonly server?: string;
}
