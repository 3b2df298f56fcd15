import { posix } from "node:path";
import { HostletError } from "../../errors.ts";

const longestPath = 4096;
const longestName = 255;

/**
 * A path inside a volume as a manifest has it, normalised.
 * @param what names the field in the message
 * @throws {HostletError} PodInvalid where it is empty, absolute, too long, holds `..` or NUL, or begins with `..`, which
 *   is how a volume's internal names begin
 */
export function checkVolumePath(path: string, what: string): string {
  const normal = posix.normalize(path).replace(/\/$/, "");
  const problem = pathProblem(path) ?? problemOf(normal);
  if (problem) throw new HostletError("PodInvalid", `invalid ${what} ${JSON.stringify(path)}: ${problem}`);
  return normal;
}

/** @param path normalised, without `..` as a name in it */
function problemOf(path: string): string | undefined {
  if (path === "." || path === "") return "must name a file";
  if (posix.isAbsolute(path)) return "must be a relative path";
  if (path.startsWith("..")) return "must not start with '..'";
  return undefined;
}

/** What is wrong with any path from a manifest, relative or absolute; undefined: nothing. */
export function pathProblem(path: string): string | undefined {
  if (path.includes("\0")) return "must not contain a NUL character";
  if (Buffer.byteLength(path) > longestPath) return `must be at most ${longestPath} bytes long`;
  const names = path.split("/");
  if (names.includes("..")) return "must not contain '..'";
  if (names.some((name) => Buffer.byteLength(name) > longestName)) {
    return `names in it must be at most ${longestName} bytes long`;
  }
  return undefined;
}

/** A DNS label, as volumes and containers are named: it can be a directory's name. */
export function isLabel(name: string): boolean {
  return name.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name);
}

/** A path of the pod's directory as users see it: below `publicDir` in place of `podDir`; any other path as it is. */
export function toPublicPath(path: string, podDir: string, publicDir: string | undefined): string {
  if (publicDir === undefined || !(path === podDir || path.startsWith(`${podDir}/`))) return path;
  return publicDir + path.slice(podDir.length);
}
