import type { Clock } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import type { ObjectSource } from "../../kube/objectSource.ts";
import type { Container, Pod } from "../../kube/types.ts";
import type { ImageCredential, ImageService, RuntimeImage } from "../../runtimes/images.ts";
import { credentialsFor, credentialsIn } from "./credentials.ts";
import { ImageError } from "./imageError.ts";
import { pullPolicyOf } from "./imageName.ts";
import { type Backoff, nextPull } from "./pullBackoff.ts";

export type EmitImageEvent = (type: "Normal" | "Warning", reason: string, message: string) => void;

export interface ImagePullerOptions {
  images: ImageService;
  objects: ObjectSource;
  clock: Clock;
}

interface Failure {
  backoff: Backoff;
  message: string;
}

/** Decides when an image is pulled for a container of one pod, and says so in Events: the kubelet's image manager. */
export class ImagePuller {
  readonly #options: ImagePullerOptions;
  /** By image: pulls that failed, since the last one that did not. */
  readonly #failures = new Map<string, Failure>();

  constructor(options: ImagePullerOptions) {
    this.#options = options;
  }

  /**
   * The container's image, pulled where its imagePullPolicy asks for that.
   * @throws {ImageError} InvalidImageName, ImageInspectError, ErrImageNeverPull, ErrImagePull, ImagePullBackOff
   */
  async ensure(pod: Pod, container: Container, emit: EmitImageEvent, signal: AbortSignal): Promise<RuntimeImage> {
    const { image = "" } = container;
    const policy = pullPolicyOf(container);
    const present = await this.#find(image, emit);
    if (present && policy !== "Always") {
      emit("Normal", "Pulled", `Container image "${image}" already present on machine`);
      return present;
    }
    if (policy === "Never") {
      const message = `Container image "${image}" is not present with pull policy of Never`;
      emit("Warning", "ErrImageNeverPull", message);
      throw new ImageError("ErrImageNeverPull", message);
    }
    this.#holdBack(image, emit);
    return this.#pull(pod, image, emit, signal);
  }

  async #find(image: string, emit: EmitImageEvent): Promise<RuntimeImage | undefined> {
    try {
      return await this.#options.images.find(image);
    } catch (cause) {
      const invalid = isInvalidName(cause);
      const message = invalid
        ? invalidName(image, cause)
        : `Failed to inspect image "${image}": ${(cause as Error).message}`;
      emit("Warning", invalid ? "InspectFailed" : "Failed", message);
      throw new ImageError(invalid ? "InvalidImageName" : "ImageInspectError", message, { cause });
    }
  }

  #holdBack(image: string, emit: EmitImageEvent): void {
    const failure = this.#failures.get(image);
    if (!failure || this.#options.clock.now() >= failure.backoff.until) return;
    const message = `Back-off pulling image "${image}"`;
    emit("Normal", "BackOff", message);
    throw new ImageError("ImagePullBackOff", `${message}: ErrImagePull: ${failure.message}`, {
      retryAt: failure.backoff.until,
    });
  }

  async #pull(pod: Pod, image: string, emit: EmitImageEvent, signal: AbortSignal): Promise<RuntimeImage> {
    const { images, clock } = this.#options;
    const credentials = await this.#credentials(pod, image, emit, signal);
    const began = clock.now();
    emit("Normal", "Pulling", `Pulling image "${image}"`);
    try {
      const pulled = await images.pull(image, credentials, (message) => emit("Normal", "Pulling", message), signal);
      this.#failures.delete(image);
      const seconds = `${((clock.now() - began) / 1000).toFixed(3)}s`;
      emit("Normal", "Pulled", `Successfully pulled image "${image}" in ${seconds}`);
      return pulled;
    } catch (cause) {
      if (signal.aborted) throw cause;
      const { message } = cause as Error;
      emit("Warning", "Failed", `Failed to pull image "${image}": ${message}`);
      const now = clock.now();
      this.#failures.set(image, { backoff: nextPull(this.#failures.get(image)?.backoff, now), message });
      throw isInvalidName(cause)
        ? new ImageError("InvalidImageName", invalidName(image, cause), { cause })
        : new ImageError("ErrImagePull", message, { cause });
    }
  }

  /** A Secret that can't be had keeps nobody from trying: the image may be public, or here by other ways. */
  async #credentials(pod: Pod, image: string, emit: EmitImageEvent, signal: AbortSignal): Promise<ImageCredential[]> {
    const namespace = pod.metadata?.namespace ?? "default";
    const found: ImageCredential[] = [];
    const missing: string[] = [];
    for (const { name } of pod.spec?.imagePullSecrets ?? []) {
      if (!name) continue;
      const secret = await this.#options.objects.get("Secret", namespace, name, signal).catch(() => undefined);
      signal.throwIfAborted();
      if (secret) found.push(...credentialsIn(secret));
      else missing.push(name);
    }
    if (missing.length > 0) {
      const names = missing.join(", ");
      const message = `Unable to retrieve some image pull secrets (${names}); attempting to pull the image may not succeed.`;
      emit("Warning", "FailedToRetrieveImagePullSecret", message);
    }
    return credentialsFor(image, found);
  }
}

function isInvalidName(error: unknown): boolean {
  return error instanceof HostletError && error.reason === "InvalidImageName";
}

function invalidName(image: string, cause: unknown): string {
  return `Failed to apply default image tag "${image}": couldn't parse image name "${image}": ${(cause as Error).message}`;
}
