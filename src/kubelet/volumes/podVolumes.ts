import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../clock.ts";
import { HostletError } from "../../errors.ts";
import type { ObjectSource } from "../../kube/objectSource.ts";
import type { Container, Pod, Volume } from "../../kube/types.ts";
import type { ContainerMount } from "../../runtimes/contract.ts";
import type { ObjectReference } from "../env/references.ts";
import type { Allocatable } from "../env/resourceField.ts";
import type { PodAccess } from "../security/podAccess.ts";
import { type VolumeOwnership, writeVolume } from "./atomicWriter.ts";
import { type NodeIdentity, prepareClaim } from "./claim.ts";
import { allOrThrow, collectPayload, holdsToken, lacksToken } from "./collect.ts";
import { prepareHostPath } from "./hostPath.ts";
import { isWritten, kindDirs, references, volumeKind } from "./kinds.ts";
import { isInMemory, mountMemory } from "./memoryVolume.ts";
import { type PreparedVolume, resolveMounts } from "./mounts.ts";
import { isLabel } from "./paths.ts";

export interface VolumeOptions {
  pod: Pod;
  /** `<stateDir>/pods/<uid>`, exists, 0700. */
  podDir: string;
  objects: ObjectSource;
  /** Of the node, for resourceFieldRef in containers without limits. */
  allocatable: Allocatable;
  /** For the affinity of persistent volumes. */
  node?: NodeIdentity;
  /** Which groups may read; undefined: the pod's containers run as the agent's user. */
  access?: PodAccess;
  /** See `ProjectionOptions`. @default false */
  exactModes?: boolean;
  /** Volumes in memory can be mounted. @default false */
  mayMount?: boolean;
  clock: Clock;
  signal: AbortSignal;
}

/** What is not as the pod's author may expect, for an Event. */
export interface VolumeWarning {
  volume: string;
  reason: "FailedMount" | "VolumeOptionIgnored";
  message: string;
}

export interface RefreshResult {
  /** Names of the volumes whose content has changed. */
  updated: string[];
  /** Volumes that keep their old content, and why. */
  warnings: VolumeWarning[];
}

/** The volumes of a pod on this host. */
export interface PodVolumes {
  readonly sources: ReadonlyMap<string, PreparedVolume>;
  readonly warnings: readonly VolumeWarning[];
  /** When to `refresh` though nothing changed, because a token has to be renewed; undefined: never. In ms since the epoch. */
  readonly refreshAt: number | undefined;
  /** See `resolveMounts`. */
  mountsFor(container: Container, variables: Readonly<Record<string, string>>): Promise<ContainerMount[]>;
  /**
   * Writes again what may have changed; nothing is touched where the content is the same. A volume that can't be written
   * keeps its content, as on the kubelet. Calls may overlap: they are done one after another. Rejects only when the signal
   * aborts.
   * @param changed.pod the pod as it is now; undefined: as it was last given
   * @param changed.object only volumes that read this object; undefined: all
   */
  refresh(changed: { object?: ObjectReference; pod?: Pod }, signal: AbortSignal): Promise<RefreshResult>;
}

/**
 * Makes the pod's volumes below its directory; again, after a restart of the agent or a failure, it completes what is there.
 * A volume that no container mounts is made too, but what goes wrong with it is only a warning: the kubelet skips it.
 * @throws {HostletError} with reason FailedMount and the kubelet's message. CreateContainerFailed: something is missing, try
 *   again when it may have changed (`volumeReferences`); PodInvalid: only another pod would help
 */
export async function setUpVolumes(options: VolumeOptions): Promise<PodVolumes> {
  const { pod } = options;
  const volumes = pod.spec?.volumes ?? [];
  const mounted = mountedVolumes(pod);
  const sources = new Map<string, PreparedVolume>();
  const warnings: VolumeWarning[] = [];
  const renewals: Renewals = new Map();
  const prepare = async (volume: Volume) => {
    try {
      sources.set(volume.name, await setUpVolume(volume, options, renewals));
    } catch (error) {
      options.signal.throwIfAborted();
      const failure = mountFailure(volume, error);
      if (mounted.has(volume.name)) throw failure;
      warnings.push({ volume: volume.name, reason: "FailedMount", message: failure.message });
    }
  };
  checkNames(volumes);
  allOrThrow(await Promise.allSettled(volumes.map(prepare)));
  for (const volume of volumes) {
    const inMemory = sources.get(volume.name)?.inMemory === true;
    warnings.push(...ignoredOptions(volume, options.objects, inMemory));
  }
  return new WrittenVolumes(options, sources, warnings, renewals);
}

/** A volume that is bound to one node matches none whose name is not known. */
const nowhere: NodeIdentity = { name: "", labels: {} };

/** When the tokens of a volume have to be renewed, by its name. */
type Renewals = Map<string, number>;

/** After which a volume with a token is tried again that could not be written: as often as a kubelet looks at its pods. */
const tryAgainMs = 60_000;

class WrittenVolumes implements PodVolumes {
  readonly sources: Map<string, PreparedVolume>;
  readonly warnings: readonly VolumeWarning[];
  readonly #options: VolumeOptions;
  readonly #renewals: Renewals;
  #pod: Pod;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(
    options: VolumeOptions,
    sources: Map<string, PreparedVolume>,
    warnings: VolumeWarning[],
    renewals: Renewals,
  ) {
    this.#options = options;
    this.#renewals = renewals;
    this.#pod = options.pod;
    this.sources = sources;
    this.warnings = warnings;
  }

  get refreshAt(): number | undefined {
    return this.#renewals.size === 0 ? undefined : Math.min(...this.#renewals.values());
  }

  mountsFor(container: Container, variables: Readonly<Record<string, string>>): Promise<ContainerMount[]> {
    return resolveMounts(container, this.sources, variables);
  }

  refresh(changed: { object?: ObjectReference; pod?: Pod }, signal: AbortSignal): Promise<RefreshResult> {
    const done = this.#tail.then(() => this.#refresh(changed, signal));
    this.#tail = done.catch(() => {});
    return done;
  }

  async #refresh(changed: { object?: ObjectReference; pod?: Pod }, signal: AbortSignal): Promise<RefreshResult> {
    signal.throwIfAborted();
    if (changed.pod) this.#pod = changed.pod;
    const result: RefreshResult = { updated: [], warnings: [] };
    for (const volume of this.#pod.spec?.volumes ?? []) {
      if (!isWritten(volume) || (changed.object && !reads(this.#pod, volume, changed.object))) continue;
      try {
        const options = { ...this.#options, pod: this.#pod, signal };
        const { path, updated } = await writeFiles(volume, options, this.#renewals);
        this.sources.set(volume.name, { path, kind: volumeKind(volume), readOnly: true });
        if (updated) result.updated.push(volume.name);
      } catch (error) {
        signal.throwIfAborted();
        if (holdsToken(volume)) this.#renewals.set(volume.name, this.#options.clock.now() + tryAgainMs);
        const { message } = mountFailure(volume, error);
        result.warnings.push({ volume: volume.name, reason: "FailedMount", message });
      }
    }
    return result;
  }
}

async function setUpVolume(volume: Volume, options: VolumeOptions, renewals: Renewals): Promise<PreparedVolume> {
  const kind = volumeKind(volume);
  if (kind === "hostPath") return { path: await prepareHostPath(volume.hostPath!), kind, readOnly: false };
  if (kind === "persistentVolumeClaim") return { ...(await prepareClaim(volume, { node: nowhere, ...options })), kind };
  if (kind === "emptyDir") {
    const path = join(options.podDir, kindDirs.emptyDir, volume.name);
    mkdirSync(path, { recursive: true });
    const inMemory = options.mayMount === true && isInMemory(volume) && (await mountMemory(path, volume));
    const fsGroup = options.access?.fsGroup;
    if (fsGroup !== undefined) chownSync(path, -1, fsGroup);
    // As on the kubelet; the pod's directory keeps others out.
    chmodSync(path, fsGroup === undefined ? 0o777 : 0o2777);
    return { path, kind, readOnly: false, ...(inMemory && { inMemory }) };
  }
  const { path } = await writeFiles(volume, options, renewals);
  return { path, kind, readOnly: true };
}

async function writeFiles(
  volume: Volume,
  options: VolumeOptions,
  renewals: Renewals,
): Promise<{ path: string; updated: boolean }> {
  const kind = volumeKind(volume) as keyof typeof kindDirs;
  const { payload, refreshAt } = await collectPayload(volume, options);
  const secret = volume.secret || volume.projected?.sources?.some((source) => source.secret) || holdsToken(volume);
  const parent = join(options.podDir, kindDirs[kind]);
  // Others of the pod pass through on their way to a volume of theirs.
  if (kind === "secret")
    mkdirSync(parent, { recursive: true, mode: options.access?.gid === undefined ? 0o700 : 0o755 });
  const path = join(parent, volume.name);
  const updated = writeVolume(
    path,
    payload,
    ownership(volume, Boolean(secret) && !options.exactModes, options.access),
    options.clock,
  );
  if (refreshAt !== undefined) renewals.set(volume.name, refreshAt);
  return { path, updated };
}

/** Secret volumes are for those who mount them; the others may be read by whoever passes into the pod's directory. */
function ownership(volume: Volume, secret: boolean, access: PodAccess | undefined): VolumeOwnership {
  const gid = secret ? access?.secretGroup(volume.name) : access?.fsGroup;
  if (gid === undefined) return { dirMode: secret ? 0o700 : 0o755 };
  const setGid = access?.fsGroup === undefined ? 0 : 0o2000;
  return { dirMode: setGid | (secret ? 0o750 : 0o755), gid, fileBits: 0o440 };
}

function reads(pod: Pod, volume: Volume, object: ObjectReference): boolean {
  return references(pod, [volume]).some(({ kind, name }) => kind === object.kind && name === object.name);
}

function mountedVolumes(pod: Pod): Set<string> {
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  return new Set(containers.flatMap((container) => (container.volumeMounts ?? []).map((mount) => mount.name)));
}

function checkNames(volumes: Volume[]): void {
  const names = new Set<string>();
  for (const { name } of volumes) {
    const fail = (problem: string) => new HostletError("PodInvalid", problem, { reason: "FailedMount" });
    if (!isLabel(name)) {
      throw fail(`invalid volume name ${JSON.stringify(name)}: must be at most 63 lower case letters, digits and '-'`);
    }
    if (names.has(name)) throw fail(`two volumes are named "${name}"`);
    names.add(name);
  }
}

function ignoredOptions(volume: Volume, objects: ObjectSource, inMemory: boolean): VolumeWarning[] {
  const messages: string[] = [];
  const { medium, sizeLimit } = volume.emptyDir ?? {};
  if (medium && !inMemory)
    messages.push(`medium ${medium} of volume "${volume.name}" is not honoured: it is a directory on disk`);
  if (sizeLimit && !inMemory) messages.push(`sizeLimit ${sizeLimit} of volume "${volume.name}" is not enforced`);
  if (lacksToken(volume, objects)) {
    messages.push(`volume "${volume.name}" has no token: this node has no service account tokens to give`);
  }
  return messages.map((message) => ({ volume: volume.name, reason: "VolumeOptionIgnored", message }));
}

function mountFailure(volume: Volume, cause: unknown): HostletError {
  const code = cause instanceof HostletError ? cause.code : "CreateContainerFailed";
  const message = `MountVolume.SetUp failed for volume "${volume.name}" : ${(cause as Error).message}`;
  return new HostletError(code, message, { cause, reason: "FailedMount" });
}
