/** One object, one collection or one subresource of the Kubernetes API. */
export interface Resource {
  /** @default "" the core group */
  group?: string;
  /** @default "v1" */
  version?: string;
  /** Plural, lower case: `pods`. */
  resource: string;
  namespace?: string;
  name?: string;
  subresource?: string;
}

/** The path on an API server, each part encoded, without a query. */
export function resourcePath(r: Resource): string {
  let path = r.group ? `/apis/${encodeURIComponent(r.group)}/` : "/api/";
  path += encodeURIComponent(r.version ?? "v1");
  if (r.namespace) path += `/namespaces/${encodeURIComponent(r.namespace)}`;
  path += `/${encodeURIComponent(r.resource)}`;
  if (r.name) path += `/${encodeURIComponent(r.name)}`;
  if (r.subresource) path += `/${r.subresource.split("/").map(encodeURIComponent).join("/")}`;
  return path;
}

function namespaced(resource: string, group?: string) {
  return (namespace?: string, name?: string, subresource?: string): string =>
    resourcePath({
      resource,
      ...(group ? { group } : {}),
      ...(namespace ? { namespace } : {}),
      ...(name ? { name } : {}),
      ...(subresource ? { subresource } : {}),
    });
}

/** `paths.pods()` is all namespaces' collection, `paths.pods("ns", "name", "status")` one object's subresource. */
export const paths = {
  pods: namespaced("pods"),
  configMaps: namespaced("configmaps"),
  secrets: namespaced("secrets"),
  events: namespaced("events"),
  services: namespaced("services"),
  persistentVolumeClaims: namespaced("persistentvolumeclaims"),
  persistentVolumes: (name?: string): string => namespaced("persistentvolumes")(undefined, name),
  serviceAccounts: namespaced("serviceaccounts"),
  leases: namespaced("leases", "coordination.k8s.io"),
  nodes: (name?: string, subresource?: string): string => namespaced("nodes")(undefined, name, subresource),
  namespaces: (name?: string, subresource?: string): string => namespaced("namespaces")(undefined, name, subresource),
};

export type Query = Record<string, string | number | boolean | undefined>;

/** The path with its query; undefined values are left out. */
export function withQuery(path: string, query: Query | undefined): string {
  if (!query) return path;
  let result = path;
  let separator = "?";
  for (const key in query) {
    const value = query[key];
    if (value === undefined) continue;
    result += `${separator}${encodeURIComponent(key)}=${encodeURIComponent(value)}`;
    separator = "&";
  }
  return result;
}
