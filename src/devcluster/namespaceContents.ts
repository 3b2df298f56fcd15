import type { ConfigMap } from "../kube/types.ts";
import { keyOf, type Stored } from "./objects.ts";
import { namespacesResource, type ResourceType, resourceById, serviceAccountsResource } from "./resources.ts";
import type { Api } from "./rest/api.ts";
import { create } from "./rest/create.ts";

const configMapsResource = resourceById("configmaps");
const options = { dryRun: false, fieldValidation: "Ignore", warn: () => {} } as const;

/**
 * What kube-controller-manager puts into every namespace: the ServiceAccount `default`, and the CA of the API server in the
 * ConfigMap `kube-root-ca.crt`. Now for those that are there, and later for each new one.
 */
export function fillNamespaces(api: Api): void {
  for (const { object } of api.store.list(namespacesResource)) fill(api, object);
  api.store.subscribe(namespacesResource, ({ type, entry }) => {
    if (type === "ADDED") fill(api, entry.object);
  });
}

function fill(api: Api, { metadata }: Stored): void {
  if (metadata.deletionTimestamp !== undefined) return;
  const data = { "ca.crt": api.kubelet.caPem };
  ensure(api, serviceAccountsResource, metadata.name, { metadata: { name: "default" } });
  ensure(api, configMapsResource, metadata.name, { metadata: { name: "kube-root-ca.crt" }, data });
}

function ensure(
  api: Api,
  resource: ResourceType,
  namespace: string,
  object: ConfigMap & { metadata: { name: string } },
): void {
  if (api.store.get(resource, keyOf(namespace, object.metadata.name))) return;
  create(api, resource, namespace, object, options);
}
