/**
 * Every error that a user may meet, by its stable code. Each has an anchor of the same name in docs/reference/errors.md
 * (a test compares the two).
 */
export const errorCodes = {
  /** The command line, the configuration file or the environment asks for something that can't be. */
  ConfigInvalid: { exitCode: 2 },
  /** A manifest file can't be read or is not what Kubernetes accepts. */
  ManifestInvalid: { exitCode: 2 },
  /** The state directory is in use by a live agent, or belongs to another host. */
  StateLocked: { exitCode: 3 },
  /** Another living agent has the node's name. */
  NodeNameTaken: { exitCode: 3 },
  /** A file or directory stands where hostlet would put its own, and is not hostlet's. */
  PathNotOurs: { exitCode: 3 },
  /** An address can't be listened on (in use, not permitted, socket path too long). */
  ListenFailed: { exitCode: 3 },
  /** The API server answered with an error; `cause` is the ApiError. */
  ApiFailed: { exitCode: 4 },
  /** The pod's specification can't be honoured on this host. */
  PodInvalid: { exitCode: 1 },
  /** A container's image can't be had; the reason is the kubelet's (ErrImagePull and the like). */
  ImageUnavailable: { exitCode: 1 },
  /** A container could not be created; the message goes to the pod's author. */
  CreateContainerFailed: { exitCode: 1 },
  /** The process runtime can't work on this host (no shim for this architecture, no compiler). */
  RuntimeUnavailable: { exitCode: 3 },
  /** Asked of a Provider or ContainerRuntime that does not have this ability. */
  NotSupported: { exitCode: 1 },
  /** The pod, container or attempt that was named does not exist. */
  NotFound: { exitCode: 1 },
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** An error with a stable code, a message that names the thing and says what to do, and its cause kept. */
export class HostletError extends Error {
  readonly code: ErrorCode;
  /** The Kubernetes reason for statuses and Events, where there is one (`ErrImagePull`, `CreateContainerConfigError`, ...). */
  readonly reason: string | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; reason?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "HostletError";
    this.code = code;
    this.reason = options.reason;
  }

  /** What a command that ends with this error exits with. */
  get exitCode(): number {
    return errorCodes[this.code].exitCode;
  }
}
