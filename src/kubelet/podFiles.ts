import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { HostletError } from "../errors.ts";
import type { Pod, PodRef } from "../kube/types.ts";
import { podRef } from "../kube/types.ts";
import { removeTree } from "../removeTree.ts";
import type { AssignedDevices } from "./devices/assign.ts";
import { unmountBelow } from "./volumes/memoryVolume.ts";

/** What stands in `<stateDir>/pods/<uid>/pod.json`. A reader refuses a version that it does not know. */
export interface PodRecord {
  version: 1;
  pod: Pod;
  /** `status.startTime`, ms since the epoch */
  startedAt: number;
  /** Why the pod was ended by the node, once it was: kept, so that it is not forgotten over a restart of the agent. */
  ended?: { cause: "deadline" | "refused" | "evicted"; reason: string; message: string };
  /** Attempts whose startup probe has succeeded, by container. */
  started?: Record<string, number>;
  /** What its containers have of the node's devices, until the pod has ended. */
  devices?: AssignedDevices;
}

export interface PodPaths {
  /** `<stateDir>/pods/<uid>`: everything of the pod, 0700. */
  dir: string;
  /** Where users find it: `<podsDir>/<namespace>/<pod>` or `<podsDir>/<pod>`, a symlink to `dir`. */
  publicDir: string;
}

export type PathLayout = "namespace" | "pod";

/** Where pods live on disk, and how they are shown to users. One writer: the agent that holds the state directory's lock. */
export class PodFiles {
  readonly #podsRoot: string;
  readonly #podsDir: string;
  readonly #layout: PathLayout;

  constructor(options: { stateDir: string; podsDir: string; layout: PathLayout }) {
    this.#podsRoot = join(resolve(options.stateDir), "pods");
    this.#podsDir = resolve(options.podsDir);
    this.#layout = options.layout;
    mkdirSync(this.#podsRoot, { recursive: true, mode: 0o700 });
  }

  paths(pod: Pod): PodPaths {
    const { namespace, name, uid } = podRef(pod);
    return {
      dir: join(this.#podsRoot, uid),
      publicDir: this.#layout === "pod" ? join(this.#podsDir, name) : join(this.#podsDir, namespace, name),
    };
  }

  /** `containers/<name>` of the pod, as `mountPath`s are laid under it. */
  containerDir(pod: Pod, container: string): string {
    return join(this.paths(pod).dir, "containers", container);
  }

  /**
   * Makes the pod's directory, its record, and the link that users see.
   * @throws {HostletError} PathNotOurs where something else stands at the public path; nothing is changed then
   */
  create(pod: Pod, startedAt: number, devices?: AssignedDevices): PodPaths {
    const paths = this.paths(pod);
    this.#checkPublicPath(pod, paths);
    mkdirSync(paths.dir, { recursive: true, mode: 0o700 });
    for (const { name } of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
      mkdirSync(join(paths.dir, "containers", name), { recursive: true, mode: 0o755 });
    }
    this.save({ version: 1, pod, startedAt, ...(devices && { devices }) });
    this.link(pod);
    return paths;
  }

  /**
   * Makes the link that users see, where it is missing or an earlier pod's.
   * @throws {HostletError} PathNotOurs where something else stands at the public path; nothing is changed then
   */
  link(pod: Pod): void {
    const paths = this.paths(pod);
    const { dir, publicDir } = paths;
    const target = this.#checkPublicPath(pod, paths);
    if (target === dir) return;
    mkdirSync(dirname(publicDir), { recursive: true });
    // Never by rename: it would replace what somebody else has put there meanwhile.
    if (target !== undefined) unlinkSync(publicDir);
    symlinkSync(dir, publicDir);
  }

  /**
   * Replaces the record: the old one or the new one is read after the agent was killed, never half of one. It is not
   * forced to the disk, which cost 4 ms a pod: that a container ran is in its attempt's own record, which is, and a pod whose
   * record a power failure took is recovered from its object.
   */
  save(record: PodRecord): void {
    const { dir } = this.paths(record.pod);
    const temporary = join(dir, ".pod.json.tmp");
    writeFileSync(temporary, JSON.stringify(record), { mode: 0o600 });
    renameSync(temporary, join(dir, "pod.json"));
  }

  /**
   * Every pod that has a directory. One without a readable record is given as `broken`: its directory is kept for
   * whoever wants to look, and its processes are the caller's to end.
   */
  list(): { records: PodRecord[]; broken: { uid: string; why: string }[] } {
    const records: PodRecord[] = [];
    const broken: { uid: string; why: string }[] = [];
    for (const uid of readdirSync(this.#podsRoot)) {
      try {
        records.push(this.#read(uid));
      } catch (error) {
        broken.push({ uid, why: error instanceof Error ? error.message : String(error) });
      }
    }
    return { records, broken };
  }

  /** Removes the link, where it is this pod's, and the directory. */
  async remove(pod: Pod): Promise<void> {
    const { dir, publicDir } = this.paths(pod);
    if (linkTarget(publicDir) === dir) unlinkSync(publicDir);
    await unmountBelow(dir);
    await removeTree(dir);
  }

  /** Removes what is left of a pod whose record can't be read. */
  async removeByUid(uid: string): Promise<void> {
    const dir = join(this.#podsRoot, uid);
    await unmountBelow(dir);
    await removeTree(dir);
  }

  /** @throws where there is no record of this pod that this version can read */
  #read(uid: string): PodRecord {
    const record = JSON.parse(readFileSync(join(this.#podsRoot, uid, "pod.json"), "utf8")) as PodRecord;
    if (record.version !== 1) throw new Error(`record version ${record.version} is not known to this hostlet`);
    if (podRef(record.pod).uid !== uid) throw new Error("the record is of another pod");
    return record;
  }

  #ownerOf(dir: string): PodRef | undefined {
    try {
      return podRef(this.#read(basename(dir)).pod);
    } catch {
      return undefined;
    }
  }

  /** @returns where the link that stands there points; undefined where there is none */
  #checkPublicPath(pod: Pod, { dir, publicDir }: PodPaths): string | undefined {
    const target = linkTarget(publicDir);
    if (target === undefined || target === dir) return target;
    // A link into this very state directory belongs to an earlier pod of the same name that is still being ended, or
    // (layout `pod`) to one of another namespace, whose directory it stays.
    if (target !== null && dirname(target) === this.#podsRoot) {
      const owner = this.#ownerOf(target);
      if (!owner || owner.namespace === podRef(pod).namespace) return target;
      throw new HostletError(
        "PathNotOurs",
        `${publicDir} is the directory of pod ${owner.namespace}/${owner.name}. Rename the pod, or use --path-layout=namespace`,
        { reason: "PathNotOurs" },
      );
    }
    throw new HostletError(
      "PathNotOurs",
      `${publicDir} exists and was not made by this hostlet; it is left alone. Rename the pod, move the file away, or choose another --pods-dir`,
      { reason: "PathNotOurs" },
    );
  }
}

/**
 * Where a symlink points; undefined where there is nothing; null where there is something else than a symlink, or a
 * file where its directory would be.
 */
function linkTarget(path: string): string | null | undefined {
  try {
    const found = lstatSync(path, { throwIfNoEntry: false });
    // An error object for the usual case would cost more than the second look.
    if (!found) return statSync(dirname(path), { throwIfNoEntry: false })?.isFile() ? null : undefined;
    return found.isSymbolicLink() ? resolve(dirname(path), readlinkSync(path)) : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return null;
    throw error;
  }
}
