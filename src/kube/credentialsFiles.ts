import { readFile } from "node:fs/promises";
import type { Clock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import type { KeyPair } from "../pki/authority.ts";
import type { ClientConfig } from "./clientConfig.ts";
import type { Credential, Credentials } from "./credentials.ts";
import { checkKey, parseCertificates } from "./pem.ts";

/** The kubelet rewrites a projected token well before it ends; client-go reads its file again after a minute, too. */
const rereadMs = 60_000;

/** A token or a client certificate that others renew, in files. What was read last holds while a file can't be used. */
export class FileCredentials implements Credentials {
  readonly #config: ClientConfig;
  readonly #clock: Clock;
  #known: Credential | undefined;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(config: ClientConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  current(): Credential | Promise<Credential> {
    return this.#known && this.#clock.now() - this.#readAt < rereadMs ? this.#known : this.#read();
  }

  refused(credential: Credential): void {
    if (credential === this.#known) this.#readAt = Number.NEGATIVE_INFINITY;
  }

  close(): void {}

  async #read(): Promise<Credential> {
    try {
      const [authorization, certificate] = await Promise.all([this.#authorization(), this.#certificate()]);
      this.#readAt = this.#clock.now();
      const known = this.#known;
      if (!known || authorization !== known.authorization || certificate !== known.certificate) {
        this.#known = { ...(authorization ? { authorization } : {}), ...(certificate ? { certificate } : {}) };
      }
    } catch (error) {
      if (!this.#known) throw error; // else: being replaced just now; the server says when it is too old
    }
    return this.#known as Credential;
  }

  async #authorization(): Promise<string | undefined> {
    const { token, tokenFile } = this.#config;
    if (!tokenFile) return token && `Bearer ${token}`;
    const text = (await read(tokenFile, "token file")).trim();
    if (!text) throw new HostletError("ConfigInvalid", `token file ${tokenFile}: it is empty`);
    return `Bearer ${text}`;
  }

  async #certificate(): Promise<KeyPair | undefined> {
    const { cert, key, certFile, keyFile } = this.#config;
    if (!cert || !key) return undefined;
    const known = this.#known?.certificate ?? { cert, key };
    const next = {
      cert: certFile ? await read(certFile, "client certificate") : cert,
      key: keyFile ? await read(keyFile, "client key") : key,
    };
    if (next.cert === known.cert && next.key === known.key) return known;
    try {
      checkKey(next.key, parseCertificates(next.cert)[0]);
    } catch (cause) {
      const message = `client certificate ${certFile} and key ${keyFile}: ${(cause as Error).message}`;
      throw new HostletError("ConfigInvalid", message, { cause });
    }
    return next;
  }
}

async function read(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new HostletError("ConfigInvalid", `${what} ${file}: ${(cause as Error).message}`, { cause });
  }
}
