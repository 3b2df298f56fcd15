import type { ContainerID, ContainerSpec } from "../contract.ts";

/** What a container of ours carries, so that the next agent knows it. Docker's own tools show these, too. */
export const labels = {
  /** Which agent's it is: of several on one engine each sees its own. */
  node: "dev.hostlet.node",
  attempt: "dev.hostlet.attempt",
  restartCount: "dev.hostlet.restart-count",
  imageID: "dev.hostlet.image-id",
  /** How a container ended that was never to be started: its exit, as JSON. */
  refused: "dev.hostlet.refused",
  /** `container`, or `pause` for the one that holds a pod's network. */
  kind: "dev.hostlet.kind",
  podUID: "io.kubernetes.pod.uid",
  podName: "io.kubernetes.pod.name",
  podNamespace: "io.kubernetes.pod.namespace",
  container: "io.kubernetes.container.name",
} as const;

/** An engine has each name once: to create a container of this name is to claim the attempt. */
export function engineName({ podUID, container, attempt }: ContainerID): string {
  return `hostlet_${container}_${podUID}_${attempt}`;
}

export function labelsOf(spec: ContainerSpec, node: string): Record<string, string> {
  const { id, restartCount, namespace, podName, image } = spec;
  return {
    [labels.node]: node,
    [labels.kind]: "container",
    [labels.attempt]: String(id.attempt),
    [labels.restartCount]: String(restartCount),
    [labels.podUID]: id.podUID,
    [labels.podName]: podName,
    [labels.podNamespace]: namespace,
    [labels.container]: id.container,
    ...(image && { [labels.imageID]: image.id }),
  };
}

/** Whose container it is; undefined for one that is none of ours. */
export function idIn(found: Readonly<Record<string, string>>): ContainerID | undefined {
  const [podUID, container] = [found[labels.podUID], found[labels.container]];
  const attempt = Number(found[labels.attempt] ?? Number.NaN);
  if (found[labels.kind] !== "container" || !podUID || !container || !Number.isInteger(attempt)) return undefined;
  return { podUID, container, attempt };
}
