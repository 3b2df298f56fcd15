import { resources } from "./resources.ts";
import { reviews } from "./reviews/reviews.ts";
import { pageNotFound } from "./status.ts";

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/** What this says it is: the Kubernetes whose behaviour and schemas it follows. */
export const version = {
  major: "1",
  minor: "34",
  gitVersion: "v1.34.2+hostlet",
  gitCommit: "",
  gitTreeState: "clean",
  buildDate: "1970-01-01T00:00:00Z",
  goVersion: "",
  compiler: "",
  platform: `linux/${process.arch === "x64" ? "amd64" : process.arch}`,
};

const subresourceKinds: Record<string, { kind: string; group?: string; version?: string; verbs: string[] }> = {
  status: { kind: "", verbs: ["get", "patch", "update"] },
  ephemeralcontainers: { kind: "", verbs: ["get", "patch", "update"] },
  finalize: { kind: "", verbs: ["update"] },
  binding: { kind: "Binding", verbs: ["create"] },
  eviction: { kind: "Eviction", group: "policy", version: "v1", verbs: ["create"] },
  log: { kind: "", verbs: ["get"] },
  token: { kind: "TokenRequest", group: "authentication.k8s.io", version: "v1", verbs: ["create"] },
  proxy: { kind: "NodeProxyOptions", verbs: ["create", "delete", "get", "patch", "update"] },
  exec: { kind: "PodExecOptions", verbs: ["create", "get"] },
  attach: { kind: "PodAttachOptions", verbs: ["create", "get"] },
  portforward: { kind: "PodPortForwardOptions", verbs: ["create", "get"] },
};

export const groups = [...new Set([...resources, ...reviews].map((type) => type.group))].filter(
  (group) => group !== "",
);

function groupEntry(name: string) {
  const newest = { groupVersion: `${name}/v1`, version: "v1" };
  return { name, versions: [newest], preferredVersion: newest };
}

/** `/api`, `/apis` and what is below, up to the resources of one group and version. */
export function discovery(path: string): object {
  if (path === "/api") {
    return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
  }
  if (path === "/apis") return { kind: "APIGroupList", apiVersion: "v1", groups: groups.map(groupEntry) };
  if (path === "/api/v1") return resourceList("");
  const [, , group = "", groupVersion] = path.split("/");
  if (!groups.includes(group)) throw pageNotFound();
  if (groupVersion === undefined) return { kind: "APIGroup", apiVersion: "v1", ...groupEntry(group) };
  if (groupVersion !== "v1") throw pageNotFound();
  return resourceList(group);
}

function resourceList(group: string): object {
  const list = resources
    .filter((type) => type.group === group)
    .flatMap((type) => [
      {
        name: type.plural,
        singularName: type.singular,
        namespaced: type.namespaced,
        kind: type.kind,
        verbs,
        ...(type.shortNames.length === 0 ? {} : { shortNames: type.shortNames }),
        ...(type.plural === "pods" || type.plural === "services" ? { categories: ["all"] } : {}),
      },
      ...type.subresources.map((name) => {
        const { kind = "", ...rest } = subresourceKinds[name] ?? { verbs: [] };
        return {
          name: `${type.plural}/${name}`,
          singularName: "",
          namespaced: type.namespaced,
          kind: kind || type.kind,
          ...rest,
        };
      }),
    ]);
  const answered = reviews
    .filter((review) => review.group === group)
    .map(({ plural, kind, namespaced }) => ({
      name: plural,
      singularName: kind.toLowerCase(),
      namespaced,
      kind,
      verbs: ["create"],
    }));
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: group === "" ? "v1" : `${group}/v1`,
    resources: [...list, ...answered],
  };
}
