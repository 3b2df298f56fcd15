import { HostletError } from "../../errors.ts";
import type { Pod } from "../../kube/types.ts";
import { answerJson } from "../answer.ts";
import { findPod } from "../findPod.ts";
import type { Route, RouteDeps } from "../route.ts";

export function podsRoutes({ provider }: RouteDeps): Route[] {
  const current = (pod: Pod): Pod => {
    const status = provider.get(pod.metadata?.uid ?? "") ?? pod.status;
    return { ...pod, ...(status && { status }) };
  };
  return [
    {
      methods: ["GET"],
      path: "/pods",
      access: ["pods", "proxy"],
      handle: (_call, response) => answerJson(response, listOf(provider.list().map(current))),
    },
    {
      methods: ["GET"],
      path: "/runningpods",
      access: ["pods", "proxy"],
      handle: (_call, response) => answerJson(response, listOf(provider.list().map(current).flatMap(running))),
    },
    {
      methods: ["POST"],
      path: "/checkpoint/:namespace/:pod/:container",
      access: ["checkpoint"],
      handle({ params: { namespace = "", pod = "" } }) {
        findPod(provider, namespace, pod);
        throw new HostletError(
          "NotSupported",
          "a container can't be checkpointed here: its processes are processes of the host, and nothing holds their whole state",
        );
      },
    },
  ];
}

const listOf = (items: Pod[]) => ({ kind: "PodList", apiVersion: "v1", metadata: {}, items });

/** As little as the kubelet knows of what its runtime runs; nothing for a pod that runs nothing. */
function running({ metadata, spec, status }: Pod): Pod[] {
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  const names = statuses.filter(({ state }) => state?.running).map(({ name }) => name);
  if (names.length === 0) return [];
  const { name, namespace, uid } = metadata ?? {};
  const all = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  const containers = all
    .filter((one) => names.includes(one.name))
    .map((one) => ({ name: one.name, image: one.image ?? "" }));
  const found = { name, namespace, uid };
  const known = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
  return [{ metadata: known, spec: { containers }, status: {} }];
}
