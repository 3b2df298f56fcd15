import { onAbort } from "../../kube/abort.ts";
import { ApiError, NetworkError } from "../../kube/apiError.ts";
import type { KubeClient, RequestOptions } from "../../kube/client.ts";

export interface FakeRequest {
  method: string;
  path: string;
  body: unknown;
  /** Settles the request: with an object, or with an error. */
  answer(result: unknown): void;
}

type Verb = (request: FakeRequest) => unknown;

/** A KubeClient whose requests a test answers, by hand or with `respond`. Aborts as the real one does. */
export class FakeClient implements KubeClient {
  readonly server = "https://fake";
  readonly requests: FakeRequest[] = [];
  /** Answers at once unless it gives undefined; an Error is thrown at the caller. */
  respond: Verb = () => undefined;

  async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const { signal, body } = options;
    signal?.throwIfAborted();
    return new Promise<T>((resolve, reject) => {
      const forget = signal && onAbort(signal, () => reject(signal.reason));
      const answer = (result: unknown) => {
        forget?.();
        if (result instanceof Error) reject(result);
        else resolve(result as T);
      };
      const request = { method, path, body: structuredClone(body), answer };
      this.requests.push(request);
      const result = this.respond(request);
      if (result !== undefined) answer(result);
    });
  }

  get<T>(path: string, options?: RequestOptions): Promise<T> {
    return this.request("GET", path, options);
  }
  list<T>(path: string, options?: RequestOptions): Promise<T> {
    return this.request("GET", path, options);
  }
  create<T>(path: string, body: T, options?: RequestOptions): Promise<T> {
    return this.request("POST", path, { ...options, body });
  }
  update<T>(path: string, body: T, options?: RequestOptions): Promise<T> {
    return this.request("PUT", path, { ...options, body });
  }
  patch<T>(path: string, body: unknown, _type: string, options?: RequestOptions): Promise<T> {
    return this.request("PATCH", path, { ...options, body });
  }
  delete<T>(path: string, body?: unknown, options?: RequestOptions): Promise<T> {
    return this.request("DELETE", path, { ...options, body });
  }
  stream(): never {
    throw new Error("not asked for");
  }
  watch(): never {
    throw new Error("not asked for");
  }
  close(): void {}

  /** `PATCH /api/...`, in order. */
  get calls(): string[] {
    return this.requests.map(({ method, path }) => `${method} ${path}`);
  }
}

const request = { method: "X", path: "/" };

export const apiError = (code: number, reason: string, message = reason): ApiError =>
  new ApiError(request, { code, reason, message });

export const networkError = (code = "ECONNREFUSED"): NetworkError =>
  new NetworkError(request, "https://fake", code, "no connection");
