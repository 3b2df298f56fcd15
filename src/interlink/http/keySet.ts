import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import * as v from "valibot";
import type { Clock } from "../../clock.ts";

/** One key of an issuer, as a token's header names it. */
export interface IssuerKey {
  key: KeyObject;
  id: string | undefined;
  /** `RS256` and the like, where the key set says so. */
  algorithm: string | undefined;
}

const jwks = v.looseObject({
  keys: v.array(
    v.looseObject({
      kty: v.string(),
      kid: v.optional(v.string()),
      alg: v.optional(v.string()),
      use: v.optional(v.string()),
    }),
  ),
});

/** A key set is read again after this, and sooner where a token names a key that is not in it, but not at every stranger's word. */
const maxAgeMs = 10 * 60_000;
const cooldownMs = 30_000;
const fetchMs = 5000;
const largest = 1 << 20;

/** The keys of an issuer, from a file or an https URL. */
export class KeySet {
  readonly #source: string;
  readonly #clock: Clock;
  #keys: IssuerKey[] = [];
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(source: string, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Those that can have signed a token whose header names this key. @throws where the key set is not to be had */
  async find(id: string | undefined): Promise<IssuerKey[]> {
    const age = this.#clock.now() - this.#readAt;
    const matching = () => this.#keys.filter((one) => id === undefined || one.id === undefined || one.id === id);
    if (age > maxAgeMs || (matching().length === 0 && age > cooldownMs)) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    return matching();
  }

  async #read(): Promise<void> {
    const text = /^https:\/\//.test(this.#source) ? await download(this.#source) : readFileSync(this.#source, "utf8");
    const { keys } = v.parse(jwks, JSON.parse(text));
    this.#keys = keys.flatMap((jwk) => {
      // Never a shared secret: whoever could check with it could sign, too.
      if (jwk.kty === "oct" || (jwk.use !== undefined && jwk.use !== "sig")) return [];
      return [{ key: createPublicKey({ key: jwk as JsonWebKey, format: "jwk" }), id: jwk.kid, algorithm: jwk.alg }];
    });
    this.#readAt = this.#clock.now();
  }
}

async function download(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(fetchMs), redirect: "error" });
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  const text = await response.text();
  if (text.length > largest) throw new Error(`${url}: more than ${largest} bytes`);
  return text;
}
