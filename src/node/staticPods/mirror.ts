import type { Node, Pod } from "../../kube/types.ts";

export const mirrorAnnotation = "kubernetes.io/config.mirror";

/** Stands on the API server for a pod from a file of its node. */
export function isMirror(pod: Pod): boolean {
  return pod.metadata?.annotations?.[mirrorAnnotation] !== undefined;
}

/** Whether it is what `mirrorOf` makes for this pod, and is to stay. */
export function isMirrorOf(mirror: Pod, pod: Pod): boolean {
  return (
    mirror.metadata?.deletionTimestamp === undefined &&
    mirror.metadata?.annotations?.[mirrorAnnotation] === pod.metadata?.uid
  );
}

/** What NodeRestriction lets a node create: annotated, and owned by its Node. */
export function mirrorOf(pod: Pod, node: Node): Pod {
  const { name, namespace, labels, annotations, uid = "" } = pod.metadata ?? {};
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...(name !== undefined && { name }),
      ...(namespace !== undefined && { namespace }),
      ...(labels && { labels }),
      annotations: { ...annotations, [mirrorAnnotation]: uid },
      ownerReferences: [
        {
          apiVersion: "v1",
          kind: "Node",
          name: node.metadata?.name ?? "",
          uid: node.metadata?.uid ?? "",
          controller: true,
        },
      ],
    },
    ...(pod.spec && { spec: pod.spec }),
  };
}
