import { createInterface } from "node:readline";
import { HostletError } from "../../errors.ts";
import type { ImageCredential, ImageService, RuntimeImage } from "../images.ts";
import type { ImageInspect } from "./api.ts";
import type { EngineClient } from "./engineClient.ts";
import { hasStatus } from "./engineError.ts";
import { checkImageName, fullName, imagePath } from "./imageNames.ts";
import { PullProgress } from "./pullProgress.ts";

interface PullLine {
  error?: string;
  id?: string;
  status?: string;
  progressDetail?: { current?: number; total?: number };
}

/** The engine's own images. */
export class EngineImages implements ImageService {
  readonly #client: EngineClient;
  readonly #now: () => number;

  constructor(client: EngineClient, now: () => number) {
    this.#client = client;
    this.#now = now;
  }

  async find(image: string): Promise<RuntimeImage | undefined> {
    checkImageName(image);
    try {
      const path = `/images/${imagePath(fullName(image))}/json`;
      return runtimeImage(await this.#client.json<ImageInspect>({ method: "GET", path }), image);
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  }

  async pull(
    image: string,
    credentials: readonly ImageCredential[],
    progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<RuntimeImage> {
    checkImageName(image);
    let failure: unknown;
    // As the kubelet does it: each that is for this registry until one is taken, or none.
    for (const credential of credentials.length > 0 ? credentials : [undefined]) {
      try {
        await this.#pullAs(credential, image, new PullProgress(image, progress, this.#now), signal);
        const found = await this.find(image);
        if (found) return found;
        failure = new HostletError("ImageUnavailable", `image "${image}" is not there after its pull`);
      } catch (error) {
        if (signal.aborted) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  async list(): Promise<{ names: string[]; sizeBytes: number }[]> {
    const images = await this.#client.json<ImageInspect[]>({ method: "GET", path: "/images/json" });
    return images.flatMap(({ RepoTags, RepoDigests, Size = 0 }) => {
      const names = [...(RepoDigests ?? []), ...(RepoTags ?? [])].filter((name) => !name.startsWith("<none>"));
      return names.length > 0 ? [{ names, sizeBytes: Size }] : [];
    });
  }

  async #pullAs(
    credential: ImageCredential | undefined,
    image: string,
    progress: PullProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const response = await this.#client.stream({
      method: "POST",
      path: "/images/create",
      query: { fromImage: fullName(image) },
      ...(credential && { headers: { "x-registry-auth": authOf(credential) } }),
      signal,
    });
    let failed: string | undefined;
    for await (const text of createInterface({ input: response })) {
      if (text.trim() === "") continue;
      const line = JSON.parse(text) as PullLine;
      if (line.error !== undefined) failed = line.error;
      progress.took(line);
    }
    signal.throwIfAborted();
    if (failed !== undefined) throw new HostletError("ImageUnavailable", failed, { reason: "ErrImagePull" });
  }
}

/** URL-safe and with its padding, without which Podman takes it for garbage. */
export function authOf({ registry, username, password }: ImageCredential): string {
  const plain = Buffer.from(JSON.stringify({ username, password, serveraddress: registry })).toString("base64");
  return plain.replaceAll("+", "-").replaceAll("/", "_");
}

function runtimeImage(inspect: ImageInspect, image: string): RuntimeImage {
  const { Id, RepoDigests, Config } = inspect;
  const repository = fullName(image).replace(/(@.*|:[^:/]+)$/, "");
  const digests = RepoDigests ?? [];
  const digest = digests.find((one) => fullName(one).startsWith(`${repository}@`));
  const { Entrypoint, Cmd, Env, WorkingDir, User } = Config ?? {};
  return {
    // The image's own id is what a container is made from; where it has a digest, that says which it is everywhere.
    id: digest ?? (Id.startsWith("sha256:") ? Id : `sha256:${Id}`),
    ...(Entrypoint && { entrypoint: Entrypoint }),
    ...(Cmd && { command: Cmd }),
    ...(Env && { env: variablesOf(Env) }),
    ...(WorkingDir && { workingDir: WorkingDir }),
    ...(User && { user: User }),
  };
}

function variablesOf(pairs: string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
