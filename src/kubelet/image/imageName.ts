import type { Container } from "../../kube/types.ts";

export type PullPolicy = "Always" | "IfNotPresent" | "Never";

/** The name that an image without a registry's host is looked up under. */
export const defaultRegistry = "docker.io";

/** The container's imagePullPolicy; the API server fills it in, but for pods of a file, and by the same rule. */
export function pullPolicyOf(container: Container): PullPolicy {
  const { imagePullPolicy: policy, image = "" } = container;
  if (policy === "Always" || policy === "IfNotPresent" || policy === "Never") return policy;
  return tagOf(image) === "latest" ? "Always" : "IfNotPresent";
}

/** `latest` where the name has neither tag nor digest; undefined where it has a digest alone. */
export function tagOf(image: string): string | undefined {
  const [name = "", digest] = image.split("@");
  const tag = /:([^:/]+)$/.exec(name)?.[1];
  return tag ?? (digest === undefined ? "latest" : undefined);
}

/** Registry and path of an image's name: `docker.io` and `library/busybox` for `busybox:1.36`. */
export function registryOf(image: string): { host: string; path: string } {
  const name = (image.split("@")[0] ?? "").replace(/:[^:/]+$/, "");
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  if (first === "localhost" || /[.:]/.test(first)) return { host: plainHost(first), path: name.slice(slash + 1) };
  return { host: defaultRegistry, path: slash < 0 ? `library/${name}` : name };
}

/** Docker's registry has had several names. */
export function plainHost(host: string): string {
  return host === "index.docker.io" || host === "registry-1.docker.io" ? defaultRegistry : host;
}
