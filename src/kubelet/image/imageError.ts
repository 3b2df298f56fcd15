import { HostletError } from "../../errors.ts";

/** Why a container has no image, with the kubelet's reason: it waits with that. */
export class ImageError extends HostletError {
  override readonly reason: string;
  /** When it is worth while to try again; undefined: as after any failed start. ms since the epoch */
  readonly retryAt: number | undefined;

  constructor(reason: string, message: string, options: { cause?: unknown; retryAt?: number } = {}) {
    super("ImageUnavailable", message, { reason, ...(options.cause !== undefined && { cause: options.cause }) });
    this.reason = reason;
    this.retryAt = options.retryAt;
  }
}
