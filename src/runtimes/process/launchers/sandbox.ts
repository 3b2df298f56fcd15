import { execFile } from "node:child_process";
import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { HostletError } from "../../../errors.ts";
import { removeTree } from "../../../removeTree.ts";
import type { ContainerExit, ContainerID, ContainerMount, ContainerSpec, RuntimeFeature } from "../../contract.ts";
import { Cgroups } from "../cgroups.ts";
import { attemptPaths } from "../layout.ts";
import type { Payload } from "../payload.ts";
import { findHelper } from "../shim.ts";
import type { CannotRun, Executable, Launcher } from "./contract.ts";
import { findExecutable } from "./executable.ts";
import { programArguments, type SandboxPlan, sandboxArguments, workingDirIn } from "./sandboxArguments.ts";
import { type SandboxUser, sandboxUser } from "./sandboxUser.ts";
import { hostPathIn } from "./sandboxView.ts";

export interface SandboxOptions {
  /** As the runtime has it. */
  stateDir: string;
  /** Directories of this node that a container with the host's root must not see: what other pods have, and the node's keys. */
  hide: readonly string[];
  /** Without root's rights, in a user namespace. @default whether the agent isn't root */
  userNamespace?: boolean;
  /** Enforces limits, where the host lets the agent make cgroups. @default true */
  cgroups?: boolean;
}

const run = promisify(execFile);
const features: ReadonlySet<RuntimeFeature> = new Set([
  "users",
  "readOnlyRootFilesystem",
  "readOnlyMounts",
  "hostAliases",
]);

const withLimits: ReadonlySet<RuntimeFeature> = new Set([...features, "limits"]);

/**
 * A root filesystem, mounts, pid namespace and hostname of the container's own: by hostlet-sandbox (shim/sandbox.c), which stands between the
 * shim and the program, passes signals on and ends as the program ends.
 */
export function createSandboxLauncher(options: SandboxOptions): Launcher {
  return new SandboxLauncher(options);
}

class SandboxLauncher implements Launcher {
  readonly name = "sandbox";
  readonly features = () => (this.#cgroups() ? withLimits : features);
  readonly #options: SandboxOptions;
  readonly #agent: { uid: number; gid: number };
  readonly #userNamespace: boolean;
  /** Null: this host lets us make none. */
  #opened: Cgroups | null | undefined;
  #helper = "";

  constructor(options: SandboxOptions) {
    this.#options = options;
    this.#agent = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
    this.#userNamespace = options.userNamespace ?? this.#agent.uid !== 0;
  }

  async open(): Promise<void> {
    this.#helper = await findHelper("sandbox", this.#options.stateDir);
    try {
      await run(this.#helper, ["probe", ...(this.#userNamespace ? ["--user-ns"] : [])], { timeout: 10_000 });
    } catch (cause) {
      const why = String((cause as { stderr?: unknown }).stderr ?? "").trim() || (cause as Error).message;
      const what = this.#userNamespace
        ? "this host gives ordinary users no user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, " +
          "kernel.apparmor_restrict_unprivileged_userns): ask its administrator, run hostlet as root, or leave isolation out"
        : "this host gives root no mount and pid namespaces (is this a container without CAP_SYS_ADMIN?): leave isolation out";
      throw new HostletError("RuntimeUnavailable", `isolation sandbox can't work here: ${why}; ${what}`, { cause });
    }
  }

  async prepare(): Promise<void> {
    // All is laid by hostlet-sandbox, in a mount namespace that ends with it.
  }

  resolve(spec: ContainerSpec): Executable | CannotRun {
    const workingDir = workingDirIn(spec);
    const locate = (path: string) => this.#locate(spec, path);
    // With a root of its own a container gets the directory made.
    if (spec.image?.rootfs === undefined && !isDirectory(locate(workingDir)) && !isOwn(workingDir)) {
      return { exitCode: 128, message: `workingDir ${workingDir} is not a directory in the container` };
    }
    const path = Object.hasOwn(spec.env, "PATH") ? spec.env.PATH : undefined;
    const found = findExecutable(spec.argv, path, workingDir, locate);
    // What lies in a directory that only the sandbox has, it finds itself.
    const [name = ""] = spec.argv;
    return "exitCode" in found && isOwn(name) ? { file: name, argv: [...spec.argv] } : found;
  }

  wrap(spec: ContainerSpec, executable: Executable): Executable {
    const plan = this.#plan(spec, this.#cgroups()?.make(spec.id, spec.resources ?? {}));
    const argv = ["hostlet-sandbox", ...sandboxArguments(plan), "--", executable.file, ...executable.argv];
    return { file: this.#helper, argv, cwd: "/", ...this.#owner(plan.user) };
  }

  enter(spec: ContainerSpec, argv: readonly string[], payload: Payload): Executable {
    const plan = this.#plan(spec, this.#cgroups()?.of(spec.id));
    const args = ["enter", "--target", String(payload.pid), ...programArguments(plan)];
    return {
      file: this.#helper,
      argv: ["hostlet-sandbox", ...args, "--", argv[0] ?? "", ...argv],
      cwd: "/",
      ...this.#owner(plan.user),
    };
  }

  /** The kernel counts what it killed for want of memory; hostlet-sandbox says in a file of its own what it could not do. */
  ended(id: ContainerID, exit: ContainerExit): ContainerExit {
    if (!existsSync(this.#workDir(id))) return exit; // another launcher's
    if (exit.exitCode !== 0 && (this.#cgroups()?.oomKills(id) ?? 0) > 0) return { ...exit, reason: "OOMKilled" };
    if (exit.exitCode < 126 || exit.exitCode > 128 || exit.signal !== undefined) return exit;
    const message = readText(join(this.#workDir(id), "cannot-run"));
    return message === "" ? exit : { ...exit, reason: "ContainerCannotRun", message };
  }

  /** What the container wrote into its root: perhaps a lot. */
  async forget(id: ContainerID): Promise<void> {
    if (!existsSync(this.#workDir(id))) return;
    this.#cgroups()?.remove(id);
    await removeTree(this.#workDir(id));
  }

  /** Made where they are first needed: a node without sandboxes leaves the host's cgroups alone. */
  #cgroups(): Cgroups | undefined {
    if (this.#opened === undefined) this.#opened = (this.#options.cgroups !== false && Cgroups.open()) || null;
    return this.#opened ?? undefined;
  }

  #workDir(id: ContainerID): string {
    return join(attemptPaths(this.#options.stateDir, id).dir, "sandbox");
  }

  #plan(given: ContainerSpec, cgroups: string[] = []): SandboxPlan {
    const spec = { ...given, mounts: given.mounts.map((mount) => realSource(given, mount)) };
    const user = this.#user(spec);
    const { hide } = this.#options;
    return { spec, workDir: this.#workDir(spec.id), user, userNamespace: this.#userNamespace, hide, cgroups };
  }

  #user(spec: ContainerSpec): SandboxUser {
    const read = (path: string) => readText(this.#locate(spec, path));
    // Root in a root filesystem of its own, as container images expect it; on the host's, the agent itself.
    const fallback = spec.image?.rootfs === undefined ? this.#agent : { uid: 0, gid: 0 };
    const database = { passwd: read("/etc/passwd"), group: read("/etc/group") };
    const user = sandboxUser(spec.security, spec.image?.user, database, fallback);
    if (typeof user === "string")
      throw new HostletError("CreateContainerFailed", user, { reason: "CreateContainerError" });
    return user;
  }

  /** Whose the pipes are, or `> /dev/stderr` fails; in a user namespace every user is the agent's. */
  #owner({ uid, gid }: SandboxUser): { owner?: { uid: number; gid: number } } {
    return this.#userNamespace || uid === this.#agent.uid ? {} : { owner: { uid, gid } };
  }

  #locate(spec: ContainerSpec, path: string): string | undefined {
    return hostPathIn(spec.image?.rootfs ?? "/", spec.mounts, path);
  }
}

/** In a container with the host's root these are not the host's. */
function isOwn(path: string): boolean {
  return /^\/(tmp|run|dev|proc|sys)(\/|$)/.test(path);
}

/**
 * hostlet-sandbox follows no link on the way to a source, so that none that is put there later leads out of the pod's directory.
 * @throws {HostletError} CreateContainerFailed where one does so now
 */
function realSource(spec: ContainerSpec, mount: ContainerMount): ContainerMount {
  if (mount.tmpfs !== undefined) return mount;
  const podDir = dirname(dirname(spec.dir));
  const fail = (why: string, cause?: unknown) =>
    new HostletError(
      "CreateContainerFailed",
      `volume ${mount.volume} can't be mounted at ${JSON.stringify(mount.mountPath)}: ${why}`,
      { cause },
    );
  let source: string;
  let root: string;
  try {
    source = realpathSync(mount.source);
    root = realpathSync(podDir);
  } catch (cause) {
    throw fail((cause as Error).message, cause);
  }
  if (mount.source.startsWith(`${podDir}/`) && !source.startsWith(`${root}/`)) {
    throw fail("a symbolic link in it leads out of the pod's directory");
  }
  return { ...mount, source };
}

function isDirectory(path: string | undefined): boolean {
  return path !== undefined && (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false);
}

/** Empty where there is none. */
function readText(path: string | undefined): string {
  try {
    return path === undefined ? "" : readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
