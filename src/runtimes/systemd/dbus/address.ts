import { join } from "node:path";
import { HostletError } from "../../../errors.ts";

export type ManagerScope = "system" | "user";

/**
 * The socket of the bus that the manager listens on.
 * @throws {HostletError} RuntimeUnavailable
 */
export function busSocket(scope: ManagerScope, env: NodeJS.ProcessEnv): string {
  const given = scope === "system" ? env.DBUS_SYSTEM_BUS_ADDRESS : env.DBUS_SESSION_BUS_ADDRESS;
  if (given) {
    const path = unixPath(given);
    if (path) return path;
    throw new HostletError("RuntimeUnavailable", `the address of D-Bus, ${given}, is no unix socket with a path`);
  }
  if (scope === "system") return "/run/dbus/system_bus_socket";
  if (env.XDG_RUNTIME_DIR) return join(env.XDG_RUNTIME_DIR, "bus");
  const message =
    "systemd's user manager is found by XDG_RUNTIME_DIR or DBUS_SESSION_BUS_ADDRESS, and neither is set: log in, or let an administrator run loginctl enable-linger for this user";
  throw new HostletError("RuntimeUnavailable", message);
}

/** `unix:path=/run/bus,guid=...;tcp:...`: the first that is a path. Others than printable bytes are written `%2f`. */
export function unixPath(address: string): string | undefined {
  for (const one of address.split(";")) {
    if (!one.startsWith("unix:")) continue;
    const pairs = one.slice("unix:".length).split(",");
    const path = pairs.find((pair) => pair.startsWith("path="))?.slice("path=".length);
    if (path !== undefined) {
      const bytes = path.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      return Buffer.from(bytes, "latin1").toString();
    }
  }
  return undefined;
}
