/** Subresources of `nodes` that RBAC knows for the kubelet API; `proxy` allows everything. */
export type Subresource = "proxy" | "stats" | "metrics" | "log" | "pods" | "healthz" | "configz" | "checkpoint";

/** What a request does to this node, in RBAC's words. */
export interface Attributes {
  verb: "get" | "create" | "update" | "patch" | "delete";
  subresource: Subresource;
}

const verbs: Record<string, Attributes["verb"]> = {
  POST: "create",
  GET: "get",
  HEAD: "get",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** @param access any one of them will do; tried in this order */
export function attributesOf(method: string, access: readonly Subresource[] = ["proxy"]): Attributes[] {
  const verb = verbs[method] ?? "get";
  return access.map((subresource) => ({ verb, subresource }));
}
