import type { Clock } from "../../../clock.ts";
import type { ImageCredential } from "../../images.ts";
import { isObject, parseImageConfig } from "./config.ts";
import type { Descriptor, ImageContent } from "./content.ts";
import { digestOf, verified } from "./digest.ts";
import { decompressed } from "./entries.ts";
import { pullFailed } from "./errors.ts";
import { indexTypes, manifestTypes, parseManifest } from "./manifest.ts";
import { fullName, type ImageName } from "./names.ts";
import { basicAuthorization, parseChallenge, tokenIn, tokenUrl } from "./registryAuth.ts";

export interface RegistryOptions {
  /** For this image's registry, the best first. */
  credentials: readonly ImageCredential[];
  /** Without TLS. */
  insecure: boolean;
  clock: Clock;
  signal: AbortSignal;
}

/** Manifests and configurations; a layer may be any size. */
const longestText = 8 * 2 ** 20;
/** Without a byte of an answer. */
const answerMs = 60_000;

/**
 * An image of a registry (OCI distribution protocol): its configuration, and its layers as they are read. Every byte is
 * checked against its digest.
 * @throws {Error} with what the registry said
 */
export async function openImage(name: ImageName, options: RegistryOptions): Promise<ImageContent> {
  const registry = new Registry(name, options);
  let id = name.digest;
  let text = await registry.manifest(name.digest ?? name.tag ?? "latest");
  let found = parseManifest(text);
  // An index may hold indexes.
  for (let depth = 0; "digest" in found; depth++) {
    if (depth > 4) throw new Error("its indexes lead in circles");
    text = await registry.manifest(found.digest);
    found = parseManifest(text);
  }
  id ??= digestOf(text);
  const config = parseImageConfig(await registry.text(found.config));
  const layers = found.layers.map((layer, index) => () => registry.layer(layer, config.diffIDs[index]));
  return { id: `${name.host}/${name.repository}@${id}`, settings: config.settings, layers };
}

class Registry {
  readonly #name: ImageName;
  readonly #options: RegistryOptions;
  readonly #base: string;
  #authorization: string | undefined;

  constructor(name: ImageName, options: RegistryOptions) {
    const host = name.host === "docker.io" ? "registry-1.docker.io" : name.host;
    this.#name = name;
    this.#options = options;
    this.#base = `${options.insecure ? "http" : "https"}://${host}/v2/${name.repository}`;
  }

  async manifest(reference: string): Promise<string> {
    const accept = [...manifestTypes, ...indexTypes].join(", ");
    const response = await this.#get(`/manifests/${reference}`, accept);
    const text = await textOf(response);
    if (reference.startsWith("sha256:") && digestOf(text) !== reference) {
      throw new Error(`the manifest ${reference} is damaged: it has another digest`);
    }
    return text.toString("utf8");
  }

  async text({ digest }: Descriptor): Promise<string> {
    const text = await textOf(await this.#get(`/blobs/${digest}`));
    if (digestOf(text) !== digest) throw new Error(`the blob ${digest} is damaged: it has another digest`);
    return text.toString("utf8");
  }

  async *layer({ digest }: Descriptor, diffID: string | undefined): AsyncGenerator<Uint8Array> {
    const { body } = await this.#get(`/blobs/${digest}`);
    if (!body) throw new Error(`the registry's answer for ${digest} is empty`);
    const tar = decompressed(verified(body as AsyncIterable<Uint8Array>, digest, `the layer ${digest}`));
    yield* diffID === undefined ? tar : verified(tar, diffID, `the layer ${digest}, unpacked,`);
  }

  async #get(path: string, accept?: string): Promise<Response> {
    let response = await this.#fetch(path, accept);
    if (response.status === 401) {
      const challenge = parseChallenge(response.headers.get("www-authenticate"));
      await response.body?.cancel();
      for (const authorization of await this.#logins(challenge)) {
        this.#authorization = await authorization();
        response = await this.#fetch(path, accept);
        if (response.status !== 401 && response.status !== 403) break;
      }
    }
    if (response.ok) return response;
    throw await this.#refused(response);
  }

  /** Ways to log in, to be tried one after the other: each credential, then nobody. */
  async #logins(challenge: ReturnType<typeof parseChallenge>): Promise<(() => Promise<string | undefined>)[]> {
    const { credentials, insecure } = this.#options;
    if (challenge?.scheme === "basic")
      return credentials.map((credential) => async () => basicAuthorization(credential));
    if (challenge?.scheme !== "bearer") return [];
    const url = tokenUrl(challenge, this.#name.repository, insecure);
    return [...credentials, undefined].map((credential) => async () => {
      const headers: Record<string, string> = credential ? { authorization: basicAuthorization(credential) } : {};
      const response = await this.#ask(url, headers);
      // Refused: the next one may do.
      if (!response.ok) return void (await response.body?.cancel());
      return `Bearer ${tokenIn(await response.json())}`;
    });
  }

  #fetch(path: string, accept?: string): Promise<Response> {
    return this.#ask(`${this.#base}${path}`, {
      ...(accept !== undefined && { accept }),
      ...(this.#authorization !== undefined && { authorization: this.#authorization }),
    });
  }

  /** The headers have to come in time; the body has as long as it needs. */
  async #ask(url: string | URL, headers: Record<string, string>): Promise<Response> {
    const { clock } = this.#options;
    const late = new AbortController();
    const cancel = clock.after(answerMs, () => late.abort(new Error("no answer within a minute")));
    try {
      // A redirect to other storage takes no authorization along: fetch drops it for another origin.
      return await fetch(url, { headers, signal: AbortSignal.any([this.#options.signal, late.signal]) });
    } catch (error) {
      this.#options.signal.throwIfAborted();
      const cause = (error as Error).cause as Error | undefined;
      const why = cause?.message || (error as Error).message;
      throw pullFailed(`failed to reach registry ${this.#name.host}: ${why}`, error);
    } finally {
      cancel();
    }
  }

  async #refused(response: Response): Promise<Error> {
    const text = await textOf(response).catch(() => Buffer.alloc(0));
    let said = "";
    try {
      const answer: unknown = JSON.parse(text.toString("utf8"));
      const [first] = isObject(answer) && Array.isArray(answer.errors) ? answer.errors : [];
      if (isObject(first)) said = String(first.message ?? first.code ?? "");
    } catch {
      // not every registry says something that can be read
    }
    const name = fullName(this.#name);
    if (response.status === 404)
      return pullFailed(`failed to resolve reference "${name}": not found${said && ` (${said})`}`);
    if (response.status === 401 || response.status === 403) {
      return pullFailed(
        `failed to authorize for "${name}": ${said || "access denied"}; imagePullSecrets may be missing or wrong`,
      );
    }
    return pullFailed(`the registry ${this.#name.host} answered ${response.status}${said && `: ${said}`}`);
  }
}

async function textOf(response: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += (chunk as Uint8Array).byteLength;
    if (size > longestText) throw new Error(`the registry's answer is larger than ${longestText} bytes`);
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks);
}
