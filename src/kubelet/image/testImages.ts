import type { ImageCredential, ImageService, RuntimeImage } from "../../runtimes/images.ts";

/** Images in memory: a registry that a test fills, and what of it is here. */
export class FakeImages implements ImageService {
  /** What the registry has; an Error is what a pull says. */
  readonly registry = new Map<string, RuntimeImage | Error>();
  readonly present = new Map<string, RuntimeImage>();
  /** Every pull: the image, and the users of the credentials that it was given. */
  readonly pulls: string[] = [];
  /** Awaited in each pull. */
  onPull: (image: string, signal: AbortSignal) => Promise<void> | void = () => {};

  async find(image: string): Promise<RuntimeImage | undefined> {
    return this.present.get(image);
  }

  async pull(
    image: string,
    credentials: readonly ImageCredential[],
    _progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<RuntimeImage> {
    this.pulls.push([image, ...credentials.map(({ username }) => username)].join(" "));
    await this.onPull(image, signal);
    const found = this.registry.get(image) ?? new Error("manifest unknown");
    if (found instanceof Error) throw found;
    this.present.set(image, found);
    return found;
  }

  async list(): Promise<{ names: string[]; sizeBytes: number }[]> {
    return [...this.present.keys()].map((name) => ({ names: [name], sizeBytes: 1 }));
  }
}
