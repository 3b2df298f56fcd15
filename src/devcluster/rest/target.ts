import { type ResourceType, resources } from "../resources.ts";
import { badRequest, pageNotFound } from "../status.ts";

/** What a path of the API means. */
export interface Target {
  resource: ResourceType;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
  /** What follows the subresource. */
  rest: string[];
}

const byGroup = new Map(resources.map((type) => [`${type.group}/${type.version}/${type.plural}`, type]));

/**
 * Reads `/api/v1/namespaces/N/pods/P/log` and the like.
 * @returns undefined for a path that isn't of resources
 * @throws {StatusError} 404 for a resource that isn't served
 */
export function parseTarget(path: string): Target | undefined {
  const parts = path.split("/").slice(1).map(decoded);
  const core = parts[0] === "api";
  if (!core && parts[0] !== "apis") return undefined;
  const [group, version, ...rest] = core ? ["", ...parts.slice(1)] : parts.slice(1);
  if (rest.length === 0 || rest[0] === "") return undefined;
  const find = (plural: string | undefined) => byGroup.get(`${group}/${version}/${plural}`);
  const namespaced = rest[0] === "namespaces" && rest.length >= 3 && find(rest[2])?.namespaced === true;
  const [namespace, tail] = namespaced ? [rest[1], rest.slice(2)] : [undefined, rest];
  const resource = find(tail[0]);
  if (!resource) throw pageNotFound();
  const [, name, subresource, ...more] = tail;
  if (name !== undefined && resource.namespaced && namespace === undefined) throw pageNotFound();
  if (subresource !== undefined && !resource.subresources.includes(subresource)) throw pageNotFound();
  return { resource, namespace, name, subresource, rest: more };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badRequest(`the path is not URL-encoded: ${part}`);
  }
}
