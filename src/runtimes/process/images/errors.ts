import { HostletError } from "../../../errors.ts";

/** For the pod's author: the image can't be had, and why. */
export function pullFailed(message: string, cause?: unknown): HostletError {
  return new HostletError("ImageUnavailable", message, { reason: "ErrImagePull", cause });
}

export function invalidName(message: string): HostletError {
  return new HostletError("ImageUnavailable", message, { reason: "InvalidImageName" });
}
