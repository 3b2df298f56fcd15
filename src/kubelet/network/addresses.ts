import { readFileSync, renameSync, writeFileSync } from "node:fs";

export interface Network {
  /** As numbers of 32 bits. */
  first: number;
  last: number;
  prefix: number;
}

/** `10.88.0.0/16`: undefined for what is none, or has no room for a pod. */
export function parseNetwork(cidr: string): Network | undefined {
  const [, a, b, c, d, length] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr) ?? [];
  const bytes = [a, b, c, d].map(Number);
  const prefix = Number(length);
  if (!bytes.every((byte) => byte <= 255) || !(prefix >= 8 && prefix <= 30)) return undefined;
  const number = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  const size = 2 ** (32 - prefix);
  const first = number - (number % size);
  return { first, last: first + size - 1, prefix };
}

export function formatAddress(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join(".");
}

/** Which pod has which address; kept in a file. One writer: the agent that holds the state directory. */
export class Addresses {
  readonly #network: Network;
  readonly #file: string;
  readonly #byPod: Map<string, number>;
  /** Where the search begins: an address that was given back is not given out again at once. */
  #next: number;

  constructor(network: Network, file: string) {
    this.#network = network;
    this.#file = file;
    this.#byPod = new Map(Object.entries(read(file)).filter(([, at]) => at > network.first + 1 && at < network.last));
    this.#next = Math.max(network.first + 1, ...this.#byPod.values()) + 1;
  }

  /** The host's own: the first. */
  get gateway(): string {
    return formatAddress(this.#network.first + 1);
  }

  /** @throws {Error} where all are given out */
  of(uid: string): string {
    const known = this.#byPod.get(uid);
    if (known !== undefined) return formatAddress(known);
    const taken = new Set(this.#byPod.values());
    const { first, last } = this.#network;
    for (let tries = last - first; tries > 0; tries--) {
      if (this.#next <= first + 1 || this.#next >= last) this.#next = first + 2;
      const at = this.#next++;
      if (at >= last || taken.has(at)) continue;
      this.#byPod.set(uid, at);
      this.#save();
      return formatAddress(at);
    }
    throw new Error("every address of podCIDR is given out: end some pods, or give the node a larger one");
  }

  release(uid: string): void {
    if (this.#byPod.delete(uid)) this.#save();
  }

  #save(): void {
    writeFileSync(`${this.#file}.draft`, JSON.stringify(Object.fromEntries(this.#byPod)));
    renameSync(`${this.#file}.draft`, this.#file);
  }
}

/** What can't be read is nothing: pods that run keep their namespaces, and are given an address again. */
function read(file: string): Record<string, number> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, number>;
  } catch {
    return {};
  }
}
