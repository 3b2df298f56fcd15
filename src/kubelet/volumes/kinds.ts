import { HostletError } from "../../errors.ts";
import type { Pod, Volume } from "../../kube/types.ts";
import { type ObjectReference, referenceList } from "../env/references.ts";

export type VolumeKind =
  | "configMap"
  | "secret"
  | "projected"
  | "downwardAPI"
  | "emptyDir"
  | "hostPath"
  | "persistentVolumeClaim";

/** Where the volumes of a kind stand in the pod's directory. */
export const kindDirs: Record<Exclude<VolumeKind, "hostPath" | "persistentVolumeClaim">, string> = {
  configMap: "configmaps",
  secret: "secrets",
  projected: "projected",
  downwardAPI: "downwardapi",
  emptyDir: "emptydirs",
};

const kinds: readonly VolumeKind[] = [
  ...(["configMap", "secret", "projected", "downwardAPI", "emptyDir"] as const),
  ...(["hostPath", "persistentVolumeClaim"] as const),
];

/**
 * What kind of volume it is. One that names none is an emptyDir, as the API server has it.
 * @throws {HostletError} PodInvalid for one that hostlet does not offer
 */
export function volumeKind(volume: Volume): VolumeKind {
  const kind = kinds.find((candidate) => volume[candidate] !== undefined);
  if (kind) return kind;
  const other = Object.keys(volume).find((key) => key !== "name");
  if (!other) return "emptyDir";
  throw new HostletError(
    "PodInvalid",
    `volume "${volume.name}" is of type ${other}, which this node does not offer; it has ${kinds.join(", ")}`,
  );
}

/** Whether its files are written from objects or the pod itself: containers read them, and change nothing in them. */
export function isWritten({ configMap, secret, projected, downwardAPI }: Volume): boolean {
  return Boolean(configMap || secret || projected || downwardAPI);
}

/** The objects that the pod's volumes are written from, each once. */
export function volumeReferences(pod: Pod): ObjectReference[] {
  return references(pod, pod.spec?.volumes ?? []);
}

export function references(pod: Pod, volumes: Volume[]): ObjectReference[] {
  const configMaps: (string | undefined)[] = [];
  const secrets: (string | undefined)[] = [];
  for (const { configMap, secret, projected } of volumes) {
    configMaps.push(configMap?.name);
    secrets.push(secret?.secretName);
    for (const source of projected?.sources ?? []) {
      configMaps.push(source.configMap?.name);
      secrets.push(source.secret?.name);
    }
  }
  return referenceList(pod, configMaps, secrets);
}
