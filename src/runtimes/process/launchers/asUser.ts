import { accessSync, constants } from "node:fs";
import { HostletError } from "../../../errors.ts";
import type { ContainerSecurity } from "../../contract.ts";
import type { Executable } from "./contract.ts";

/** Where util-linux's setpriv stands on every distribution; PATH is not asked, it may be a user's own. */
const places = ["/usr/bin/setpriv", "/bin/setpriv", "/usr/sbin/setpriv", "/run/current-system/sw/bin/setpriv"];
let found: string | undefined;

/** Undefined where the host has none; asked again then, so that installing it is enough. */
export function findSetpriv(): string | undefined {
  found ??= places.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return found;
}

/**
 * The command as the user, and with the rights, that `security` says: innermost of all that a launcher wraps around it, and
 * around what is run in a container later. The program's name becomes its path (`$0`, argv[0]): setpriv looks for what it is told.
 * @throws {HostletError} CreateContainerFailed where this host has no setpriv
 */
export function asUser(security: ContainerSecurity | undefined, executable: Executable): Executable {
  const options = setprivOptions(security);
  if (options.length === 0) return executable;
  const setpriv = findSetpriv();
  if (setpriv === undefined) {
    throw new HostletError(
      "CreateContainerFailed",
      "securityContext needs the program setpriv on this host: install util-linux",
    );
  }
  const { file, argv } = executable;
  return { file: setpriv, argv: ["setpriv", ...options, "--", file, ...argv.slice(1)] };
}

/** Of setpriv; none where the command runs as the agent does. */
export function setprivOptions(security: ContainerSecurity = {}): string[] {
  const { uid, gid, groups, capabilities, noNewPrivileges } = security;
  const options: string[] = [];
  if (uid !== undefined) options.push("--reuid", String(uid));
  if (gid !== undefined) options.push("--regid", String(gid));
  // setpriv does not let a group id be set without a word about the others.
  if (groups !== undefined) options.push(...(groups.length > 0 ? ["--groups", groups.join(",")] : ["--clear-groups"]));
  else if (gid !== undefined) options.push("--keep-groups");
  if (capabilities) options.push(...capabilityOptions(capabilities, uid));
  if (noNewPrivileges) options.push("--no-new-privs");
  return options;
}

/**
 * `drop` is taken from what there is, then `add` is given, as container runtimes do it. What is added is inheritable and
 * ambient too: without that a user other than root would have nothing of it after the execve.
 */
function capabilityOptions(capabilities: { add: string[]; drop: string[] }, uid: number | undefined): string[] {
  const add = capabilities.add.map((name) => name.toLowerCase());
  const drop = capabilities.drop.map((name) => name.toLowerCase());
  const bounding = [...drop.map((name) => `-${name}`), ...add.map((name) => `+${name}`)];
  const options: string[] = [];
  if (bounding.length > 0) options.push("--bounding-set", bounding.join(","));
  // Root has all of the bounding set after an execve in any case, and ambient ones are for others.
  const inherited =
    uid === undefined || uid === 0 ? [] : add.filter((name) => name !== "all").map((name) => `+${name}`);
  options.push("--inh-caps", ["-all", ...inherited].join(","), "--ambient-caps", ["-all", ...inherited].join(","));
  return options;
}
