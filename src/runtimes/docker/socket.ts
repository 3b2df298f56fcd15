import { statSync } from "node:fs";
import { join } from "node:path";
import { HostletError } from "../../errors.ts";

/**
 * The engine's socket: `given` (the option), else DOCKER_HOST, else the first of Docker's and Podman's usual places that is there.
 * @throws {HostletError} ConfigInvalid for an address that is no unix socket; RuntimeUnavailable where there is none
 */
export function findEngineSocket(
  given: string | undefined,
  env: NodeJS.ProcessEnv,
  isSocket: (path: string) => boolean = looksLikeSocket,
): string {
  const named = given ?? env.DOCKER_HOST;
  if (named) return pathOf(named, given === undefined ? "DOCKER_HOST" : "--docker-host");
  const runDir = env.XDG_RUNTIME_DIR;
  const places = [
    "/var/run/docker.sock",
    ...(runDir ? [join(runDir, "docker.sock"), join(runDir, "podman/podman.sock")] : []),
    "/run/podman/podman.sock",
  ];
  const found = places.find(isSocket);
  if (found) return found;
  const message = `no container engine's socket at ${places.join(", ")}: start Docker, or Podman's service (systemctl --user start podman.socket), or name its socket with --docker-host`;
  throw new HostletError("RuntimeUnavailable", message);
}

/** Plain TCP would give whoever reaches the port the whole host. */
function pathOf(address: string, source: string): string {
  const path = address.startsWith("unix://") ? address.slice("unix://".length) : address;
  if (path.startsWith("/")) return path;
  throw new HostletError("ConfigInvalid", `${source}: must be unix:///path/of/a/socket, not ${address}`);
}

function looksLikeSocket(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
}
