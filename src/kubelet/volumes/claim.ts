import { stat } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { HostletError } from "../../errors.ts";
import type { BoundClaim, ObjectSource } from "../../kube/objectSource.ts";
import { matchesNode } from "../../kube/scheduling/affinity.ts";
import type { NodeSelectorTerm, PersistentVolume, Pod, Volume } from "../../kube/types.ts";
import { prepareHostPath } from "./hostPath.ts";
import { pathProblem } from "./paths.ts";

/** What of its Node is known where pods are prepared: enough for the affinity that local volumes have. */
export interface NodeIdentity {
  name: string;
  labels: Readonly<Record<string, string>>;
}

export interface ClaimContext {
  pod: Pod;
  objects: ObjectSource;
  node: NodeIdentity;
  signal: AbortSignal;
}

/**
 * The path on this host of a volume by claim, which has to be bound to a PersistentVolume of type hostPath or local.
 * @throws {HostletError} CreateContainerFailed: it isn't there yet, or not bound; PodInvalid: it never will be here
 */
export async function prepareClaim(
  volume: Volume,
  { pod, objects, node, signal }: ClaimContext,
): Promise<{ path: string; readOnly: boolean }> {
  const { claimName = "", readOnly = false } = volume.persistentVolumeClaim ?? {};
  if (!objects.claim) throw new HostletError("PodInvalid", "this node has no persistent volumes to give");
  const namespace = pod.metadata?.namespace ?? "default";
  const bound = await readClaim(objects.claim(namespace, claimName, signal), claimName, signal);
  const source = claimSource(bound, `${namespace}/${claimName}`, node);
  const path = "local" in source ? await localPath(source.local) : await prepareHostPath(source.hostPath);
  const modes = bound?.claim.spec?.accessModes ?? [];
  return { path, readOnly: readOnly || (modes.length > 0 && modes.every((mode) => mode === "ReadOnlyMany")) };
}

async function readClaim(reading: Promise<BoundClaim | undefined>, name: string, signal: AbortSignal) {
  try {
    return await reading;
  } catch (cause) {
    signal.throwIfAborted();
    throw new HostletError("CreateContainerFailed", `couldn't read claim "${name}": ${(cause as Error).message}`, {
      cause,
    });
  }
}

type Source = { hostPath: { path: string; type?: string } } | { local: string };

/** Pure. @throws {HostletError} as prepareClaim */
export function claimSource(bound: BoundClaim | undefined, name: string, node: NodeIdentity): Source {
  const wait = (why: string) => new HostletError("CreateContainerFailed", why);
  const never = (why: string) => new HostletError("PodInvalid", why);
  if (!bound) throw wait(`persistentvolumeclaim "${name.split("/")[1]}" not found`);
  const { claim, volume } = bound;
  if (claim.metadata?.deletionTimestamp) throw wait(`PVC ${name} is being deleted`);
  if (claim.status?.phase !== "Bound" || !claim.spec?.volumeName) {
    throw wait(
      `PVC ${name} has non-bound phase ("${claim.status?.phase ?? ""}") or empty pvc.Spec.VolumeName ("${claim.spec?.volumeName ?? ""}")`,
    );
  }
  if (!volume) throw wait(`persistentvolume "${claim.spec.volumeName}" not found`);
  const { name: volumeName = "" } = volume.metadata ?? {};
  const owner = volume.spec?.claimRef?.uid;
  if (owner !== undefined && owner !== claim.metadata?.uid) {
    throw wait(`PV ${volumeName} is bound to another claim than ${name}`);
  }
  if (volume.spec?.volumeMode === "Block")
    throw never(`PV ${volumeName} is a block device, which this node does not offer`);
  if (!isFor(volume, node)) throw never(`PV ${volumeName} is of another node: its node affinity does not match`);
  const { hostPath, local } = volume.spec ?? {};
  if (hostPath) return { hostPath };
  if (local) return { local: local.path };
  const type = Object.keys(volume.spec ?? {}).find(
    (key) => typeof (volume.spec as Record<string, unknown>)[key] === "object" && !common.has(key),
  );
  throw never(
    `PV ${volumeName} is of type ${type ?? "unknown"}, which this node does not offer; it has hostPath and local`,
  );
}

/** Fields of a PersistentVolume that are objects and no source. */
const common = new Set(["accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity"]);

/** Labels that are not known here count as matching: the scheduler has seen them all. */
function isFor(volume: PersistentVolume, node: NodeIdentity): boolean {
  const terms = volume.spec?.nodeAffinity?.required?.nodeSelectorTerms;
  if (!terms) return true;
  const known = (term: NodeSelectorTerm): NodeSelectorTerm => ({
    ...term,
    matchExpressions: (term.matchExpressions ?? []).filter(({ key }) => key in node.labels),
  });
  return terms.map(known).some((term) => {
    if (!term.matchExpressions?.length && !term.matchFields?.length) return true;
    const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } };
    return matchesNode(
      { containers: [], affinity: { nodeAffinity } },
      { metadata: { name: node.name, labels: { ...node.labels } } },
    );
  });
}

async function localPath(path: string): Promise<string> {
  const problem = isAbsolute(path) ? pathProblem(path) : "must be an absolute path";
  if (problem) throw new HostletError("PodInvalid", `invalid local path \`${path}\`: ${problem}`);
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new HostletError("CreateContainerFailed", `path "${path}" does not exist`);
  return path;
}
