import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import type { KeyPair } from "../pki/authority.ts";
import type { ClientConfig } from "./clientConfig.ts";
import { type Endpoint, type TlsOptions, tlsOptions } from "./endpoint.ts";
import { openTunnel } from "./proxyTunnel.ts";

const connectMs = 15_000;

/**
 * What both transports make their connections with: TLS with the client certificate of the day, and the way through a
 * proxy. A connection keeps the certificate that it began with, so those of an older generation take no new requests.
 */
export class Connector {
  readonly endpoint: Endpoint;
  readonly #config: ClientConfig;
  readonly #clock: Clock;
  readonly #tunnels = new Set<AbortController>();
  #closed = false;
  #certificate: KeyPair | undefined;
  #tls: TlsOptions | undefined;
  #generation = 0;

  constructor(endpoint: Endpoint, config: ClientConfig, clock: Clock) {
    this.endpoint = endpoint;
    this.#config = config;
    this.#clock = clock;
  }

  /** Counts the client certificates. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * What new connections show from now on. Cheap where it is the same object as before.
   * @throws {HostletError} ConfigInvalid: certificates and key can't be used
   */
  present(certificate: KeyPair | undefined): void {
    if (this.#tls && certificate === this.#certificate) return;
    this.#tls = this.endpoint.secure ? tlsOptions(this.#config, this.endpoint.host, certificate) : {};
    this.#certificate = certificate;
    this.#generation++;
  }

  /** For new connections, after `present`. */
  get tls(): TlsOptions {
    return this.#tls ?? {};
  }

  /**
   * A connection through the proxy to where TLS can begin; undefined where there is no proxy.
   * @throws {Error} with a `code`, after 15 s at the latest
   */
  async tunnel(): Promise<Socket | undefined> {
    const { proxy, host, port } = this.endpoint;
    if (!proxy) return undefined;
    const abort = new AbortController();
    const cancelTimer = this.#clock.after(connectMs, () => {
      abort.abort(coded("TIMEOUT", `no connection through the proxy ${proxy.name} within ${connectMs / 1000} s`));
    });
    this.#tunnels.add(abort);
    try {
      if (this.#closed) throw closed();
      return await openTunnel(proxy, { host, port }, this.#config.ca, abort.signal);
    } finally {
      cancelTimer();
      this.#tunnels.delete(abort);
    }
  }

  /** Ends the connections that are being made through a proxy; those made are their transports'. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const abort of this.#tunnels) abort.abort(closed());
  }
}

function closed(): Error {
  return coded("CLOSED", "the client was closed");
}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
