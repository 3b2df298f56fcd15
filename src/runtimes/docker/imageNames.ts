import { HostletError } from "../../errors.ts";

const part = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const host = "(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]+)?";
const reference = new RegExp(
  `^(?:${host}/)?${part}(?:/${part})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,})?$`,
);

/** @throws {HostletError} ImageUnavailable with reason InvalidImageName */
export function checkImageName(image: string): void {
  // The bound keeps a hostile name from costing time.
  if (image.length <= 512 && (reference.test(image) || isID(image))) return;
  throw new HostletError("ImageUnavailable", "invalid reference format", { reason: "InvalidImageName" });
}

/**
 * The name in full, with registry and tag: Podman takes a short one for an image of its own, and asks which registry is meant
 * to pull it.
 */
export function fullName(image: string): string {
  if (isID(image)) return image;
  const slash = image.indexOf("/");
  const first = slash < 0 ? "" : image.slice(0, slash);
  const hasHost = first === "localhost" || /[.:]/.test(first);
  const named = hasHost ? image : `docker.io/${slash < 0 ? "library/" : ""}${image}`;
  return /:[^/]*$|@/.test(named) ? named : `${named}:latest`;
}

/** For a path of the API: slashes stay. */
export function imagePath(image: string): string {
  return image.split("/").map(encodeURIComponent).join("/");
}

function isID(image: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(image);
}
