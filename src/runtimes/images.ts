/** What a container runtime makes of an image: what its containers are run from, and with. */
export interface RuntimeImage {
  /** As `status.containerStatuses[].imageID` shows it: a digest, a package with its version. */
  id: string;
  /** What a pod's `command` and `args` replace. */
  entrypoint?: string[];
  command?: string[];
  env?: Record<string, string>;
  workingDir?: string;
  /** `user[:group]`, names or numbers, as the image has it. */
  user?: string;
  /** A root filesystem on this host, for launchers that make it real. */
  rootfs?: string;
  /** The image is a part of this host (a package): its containers see the host's files, and inherit its environment. */
  onHost?: true;
}

/** A registry's credentials, from an imagePullSecret. */
export interface ImageCredential {
  /** Host (and port, and path) of the registry, as the Secret has it. */
  registry: string;
  username: string;
  password: string;
}

/** Images as a runtime keeps them. The core decides when to pull (policy, back-off); the runtime does it. */
export interface ImageService {
  /**
   * The image, where it is here.
   * @throws {HostletError} reason InvalidImageName
   */
  find(image: string): Promise<RuntimeImage | undefined>;
  /**
   * Gets the image.
   * @param credentials those that are for this image, the most specific first
   * @param progress sentences for Events, few
   * @throws {HostletError} reason ErrImagePull, with what the registry or package manager said; InvalidImageName
   */
  pull(
    image: string,
    credentials: readonly ImageCredential[],
    progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<RuntimeImage>;
  /** For the node's `status.images`. */
  list(): Promise<{ names: string[]; sizeBytes: number }[]>;
}
