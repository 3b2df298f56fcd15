import type { Clock } from "../../clock.ts";
import type { Pod } from "../../kube/types.ts";
import type { PodStats, Provider } from "../../providers/contract.ts";
import type { Logger } from "../../telemetry/log.ts";
import { type NodeFigures, readNodeFigures } from "./nodeFigures.ts";

export type ContainerFigures = PodStats["containers"][number];

/** A pod that is here, and what it uses. */
export interface PodReading {
  pod: Pod;
  containers: ContainerFigures[];
  volumes: NonNullable<PodStats["volumes"]>;
}

/** What everything used at one time; all answers about figures are made from one. */
export interface Reading {
  node: NodeFigures;
  pods: PodReading[];
  /** Something could not be read: what is here is not all. */
  failed: boolean;
}

/** A reading, and the one before it, which is what rates need. */
export interface Readings {
  latest: Reading;
  previous?: Reading;
}

export interface StatsSourceOptions {
  provider: Provider;
  clock: Clock;
  log: Logger;
  /** Where the pods are on this host. */
  stateDir: string;
}

/** Rates over less than this would be noise: CPU time is counted in hundredths of a second. */
const shortestRateMs = 5_000;

/** Reads what the node and its pods use, once for all who ask at about the same time. */
export class StatsSource {
  readonly #options: StatsSourceOptions;
  #latest: Reading | undefined;
  #previous: Reading | undefined;
  #underWay: Promise<Readings> | undefined;

  constructor(options: StatsSourceOptions) {
    this.#options = options;
  }

  /** @param maxAgeMs how old an answer may be */
  read(maxAgeMs: number): Promise<Readings> {
    const latest = this.#latest;
    if (latest && this.#options.clock.now() - latest.node.time < maxAgeMs)
      return Promise.resolve(this.#readings(latest));
    this.#underWay ??= this.#read().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  async #read(): Promise<Readings> {
    const { provider, clock, log, stateDir } = this.#options;
    const able = provider.capabilities().stats === true && provider.stats;
    let stats: PodStats[] = [];
    let failed = false;
    try {
      stats = able ? await provider.stats!() : [];
    } catch (error) {
      failed = true;
      log.warn({ err: error }, "what the pods use could not be read");
    }
    const node = await readNodeFigures(stateDir, clock.now());
    const reading = { node, pods: joined(provider.list(), stats), failed };
    const before = this.#latest;
    if (before && node.time - before.node.time >= shortestRateMs) this.#previous = before;
    this.#latest = reading;
    return this.#readings(reading);
  }

  #readings(latest: Reading): Readings {
    return { latest, ...(this.#previous && { previous: this.#previous }) };
  }
}

function joined(pods: readonly Pod[], stats: readonly PodStats[]): PodReading[] {
  const byUID = new Map(stats.map((one) => [one.pod.uid, one]));
  return pods.map((pod) => {
    const { containers = [], volumes = [] } = byUID.get(pod.metadata?.uid ?? "") ?? {};
    return { pod, containers, volumes };
  });
}

/** CPU in billionths of a core, from the counters of two readings; undefined where there is no rate. */
export function nanoCores(
  now: { time: number; cpuNanoseconds?: number | undefined },
  before: { time: number; cpuNanoseconds?: number | undefined } | undefined,
): number | undefined {
  if (now.cpuNanoseconds === undefined || before?.cpuNanoseconds === undefined || now.time <= before.time)
    return undefined;
  const used = now.cpuNanoseconds - before.cpuNanoseconds;
  return used < 0 ? undefined : Math.round((used * 1000) / (now.time - before.time));
}

/** The sum where any has a figure. */
export function total<T>(items: readonly T[], figure: (item: T) => number | undefined): number | undefined {
  let sum: number | undefined;
  for (const item of items) {
    const value = figure(item);
    if (value !== undefined) sum = (sum ?? 0) + value;
  }
  return sum;
}
