import { type Clock, sleep } from "../../clock.ts";
import type { KubeClient } from "../../kube/client.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { CertificateWish } from "../admit/objects.ts";
import { type Pair, readPair, writePair } from "./pairFile.ts";
import { patienceMs, requestCertificate } from "./request.ts";
import { rotationTime } from "./rotationTime.ts";

export interface CertificateManagerOptions {
  client: KubeClient;
  nodeName: string;
  wish: CertificateWish;
  /** Where it is kept over restarts of the agent. */
  file: string;
  expirationSeconds?: number | undefined;
  /** There is a new one. Also called at the start, where the file holds one that is good. */
  changed(pair: Pair): void;
  clock: Clock;
  log: Logger;
  /** @default Math.random */
  random?: () => number;
  /** @default requestCertificate */
  ask?: typeof requestCertificate;
  signal: AbortSignal;
}

/** After a denial or a failure. */
const firstPauseMs = 60_000;
const longestPauseMs = 3_600_000;
/** A request may be answered sooner than the clock moves; a certificate that is at its end already must not make a storm. */
const leastPauseMs = 1_000;

/**
 * Keeps one certificate of the node good: has it issued where there is none, and again before it ends. What is there is used
 * meanwhile, even past its end: it is no worse than none.
 */
export class CertificateManager {
  readonly #options: CertificateManagerOptions;
  #current: Pair | undefined;

  constructor(options: CertificateManagerOptions) {
    this.#options = options;
    const kept = readPair(options.file);
    if (kept && kept.notAfter > options.clock.now() && fits(kept, options.wish)) this.#use(kept);
  }

  get current(): Pair | undefined {
    return this.#current;
  }

  /** Resolves when the signal aborts. */
  async run(): Promise<void> {
    const { clock, log, signal, wish, random = Math.random, ask = requestCertificate } = this.#options;
    let pause = firstPauseMs;
    while (!signal.aborted) {
      try {
        if (this.#current) {
          const at = rotationTime(this.#current, random());
          // A timer holds no more than 24 days.
          while (at > clock.now()) await sleep(clock, at - clock.now(), signal);
        }
        const pair = await ask({ ...this.#options, waiting: (name) => this.#waiting(name) });
        writePair(this.#options.file, pair);
        this.#use(pair);
        log.info({ until: pair.certificate.validTo }, `the node has a new ${wish.purpose} certificate`);
        pause = firstPauseMs;
        await sleep(clock, leastPauseMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ err: error, pause }, `the node got no ${wish.purpose} certificate; asking again`);
        await sleep(clock, pause, signal).catch(() => {});
        pause = Math.min(2 * pause, longestPauseMs);
      }
    }
  }

  #use(pair: Pair): void {
    this.#current = pair;
    this.#options.changed(pair);
  }

  #waiting(name: string): void {
    const { log, wish } = this.#options;
    const meanwhile = this.#current
      ? `the one that is there is used until then (it ends ${this.#current.certificate.validTo})`
      : "there is none until then";
    log.warn(
      { csr: name },
      `the ${wish.purpose} certificate waits for an administrator's approval: kubectl certificate approve ${name}; ${meanwhile}, and after ${patienceMs / 60_000} minutes it is asked for anew`,
    );
  }
}

/** Whether a certificate of before is for the same node and the same addresses. */
function fits({ certificate }: Pair, { subject: { commonName, names = [] } }: CertificateWish): boolean {
  const held = certificate.subject.split("\n").includes(`CN=${commonName}`);
  return held && names.every((name) => certificate.checkHost(name) ?? certificate.checkIP(name));
}
