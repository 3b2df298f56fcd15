import type { Clock } from "../clock.ts";
import { onAbort, unlessAborted } from "../kube/abort.ts";
import type { KubeClient } from "../kube/client.ts";
import type { ServiceAccountToken, ServiceAccountTokenRequest } from "../kube/objectSource.ts";
import { paths } from "../kube/paths.ts";
import { type BackoffOptions, backoffMs } from "../kube/retry.ts";
import type { TokenRequest } from "../kube/types.ts";
import type { Logger } from "../telemetry/log.ts";
import { readError, retryForbidden } from "./forbidden.ts";

export interface TokensOptions {
  client: KubeClient;
  clock: Clock;
  log: Logger;
  /** Between the tries after a 403. @default 20 ms to 400 ms */
  backoff?: BackoffOptions;
  /** Source of jitter in [0, 1). @default Math.random */
  random?: () => number;
}

/** As the kubelet's token manager has them (pkg/kubelet/token). */
const longestUseMs = 24 * 3_600_000;
const longestJitterMs = 10_000;
/** An API server gives no token of less than ten minutes; whatever comes, it is not asked over and over. */
const shortestUseMs = 60_000;
/** Between the tries to renew one that still holds. */
const renewalBackoff = { initialMs: 20_000, maxMs: 300_000 };

interface Kept {
  token: ServiceAccountToken | undefined;
  /** Renewals that failed since. */
  failures: number;
  /** The request that is on its way. */
  asking: Promise<ServiceAccountToken> | undefined;
}

/** Service account tokens by TokenRequest, each asked for once and kept until it has to be renewed or its pod ends. */
export class Tokens {
  readonly #options: TokensOptions;
  readonly #kept = new Map<string, Kept>();

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  /** As `ObjectSource.serviceAccountToken`. @throws {HostletError} ApiFailed */
  get(request: ServiceAccountTokenRequest, signal: AbortSignal): Promise<ServiceAccountToken> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const entry = this.#entry(request, signal);
    const { token } = entry;
    if (token && this.#options.clock.now() < token.refreshAt) return Promise.resolve(token);
    entry.asking ??= this.#renew(request, entry, signal).finally(() => {
      entry.asking = undefined;
    });
    return unlessAborted(entry.asking, signal);
  }

  #entry(request: ServiceAccountTokenRequest, signal: AbortSignal): Kept {
    const key = keyOf(request);
    let entry = this.#kept.get(key);
    if (!entry) {
      entry = { token: undefined, failures: 0, asking: undefined };
      this.#kept.set(key, entry);
      onAbort(signal, () => this.#kept.delete(key));
    }
    return entry;
  }

  async #renew(request: ServiceAccountTokenRequest, entry: Kept, signal: AbortSignal): Promise<ServiceAccountToken> {
    const { clock, log, random } = this.#options;
    try {
      entry.token = await this.#request(request, signal);
      entry.failures = 0;
      return entry.token;
    } catch (error) {
      signal.throwIfAborted();
      const failure = readError(`token of ServiceAccount ${request.namespace}/${request.name}`, error);
      const old = entry.token;
      if (!old || clock.now() >= old.expiresAt) throw failure;
      const delayMs = backoffMs(++entry.failures, error, { ...renewalBackoff, ...(random && { random }) });
      log.warn({ err: failure, pod: request.pod, delayMs }, "a token could not be renewed; the pod keeps the old one");
      entry.token = { ...old, refreshAt: Math.min(clock.now() + delayMs, old.expiresAt) };
      return entry.token;
    }
  }

  async #request(request: ServiceAccountTokenRequest, signal: AbortSignal): Promise<ServiceAccountToken> {
    const { client, clock, random = Math.random } = this.#options;
    const path = paths.serviceAccounts(request.namespace, request.name, "token");
    const asked = clock.now();
    const body = tokenRequest(request);
    const { spec, status } = await retryForbidden(() => client.create(path, body, { signal }), this.#options, signal);
    if (!status?.token) throw new TypeError("the API server's answer holds no token");
    // Counted from the request: a clock that is wrong must neither ask over and over nor come too late.
    const lifeMs = (spec.expirationSeconds ?? request.expirationSeconds) * 1000;
    const useMs = Math.min(lifeMs * 0.8, longestUseMs) - random() * longestJitterMs;
    return {
      token: status.token,
      expiresAt: Date.parse(status.expirationTimestamp),
      refreshAt: asked + Math.max(useMs, shortestUseMs),
    };
  }
}

function tokenRequest({ pod, audiences = [], expirationSeconds }: ServiceAccountTokenRequest): TokenRequest {
  return {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: {
      audiences,
      expirationSeconds,
      boundObjectRef: { apiVersion: "v1", kind: "Pod", name: pod.name, uid: pod.uid },
    },
  };
}

function keyOf({ namespace, name, pod, audiences, expirationSeconds }: ServiceAccountTokenRequest): string {
  return JSON.stringify([pod.uid, namespace, name, audiences ?? [], expirationSeconds]);
}
