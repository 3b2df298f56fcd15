import type { ClientRequest, OutgoingHttpHeaders } from "node:http";
import { request } from "node:https";
import type { Node, Pod } from "../../kube/types.ts";
import { keyOf } from "../objects.ts";
import { nodesResource, podsResource } from "../resources.ts";
import { badRequest, notFound, StatusError } from "../status.ts";
import type { Api, KubeletAccess } from "./api.ts";

/** `https://HOST:PORT` of a node's kubelet API. @throws {StatusError} 404, 500 */
export function kubeletAddress(api: Api, nodeName: string): string {
  const entry = api.store.get(nodesResource, keyOf(undefined, nodeName));
  if (!entry) throw notFound(nodesResource, nodeName);
  const { status } = entry.object as Node;
  const host = status?.addresses?.find((address) => address.type === "InternalIP")?.address;
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port;
  if (!host || !port) {
    throw new StatusError(500, "InternalError", `node ${nodeName} has no InternalIP or no kubelet port in its status`);
  }
  return `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** A request to a kubelet API, with the cluster's client certificate; the caller ends it and hears its events. */
export function kubeletRequest(
  url: URL,
  access: KubeletAccess,
  options: { method?: string; headers?: OutgoingHttpHeaders; signal: AbortSignal },
): ClientRequest {
  const { cert, key } = access.client;
  return request(url, { agent: false, ca: access.caPem, cert, key, ...options });
}

/** What is said where the kubelet can't be reached. */
export function unreachable(url: URL, error: Error): StatusError {
  return new StatusError(500, "InternalError", `Get ${JSON.stringify(String(url))}: ${error.message}`);
}

/** @throws {StatusError} 404 */
export function findPod(api: Api, namespace: string, name: string): Pod {
  const entry = api.store.get(podsResource, keyOf(namespace, name));
  if (!entry) throw notFound(podsResource, name);
  return entry.object as Pod;
}

/** The container that is meant; a pod of one container needs none named. @throws {StatusError} 400 */
export function chosenContainer(pod: Pod, name: string, asked: string): string {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = pod.spec ?? {};
  const names = [...initContainers, ...containers, ...ephemeralContainers].map((container) => container.name);
  if (asked !== "") {
    if (!names.includes(asked)) throw badRequest(`container ${asked} is not valid for pod ${name}`);
    return asked;
  }
  const [first, ...others] = containers;
  if (first === undefined || others.length > 0) {
    throw badRequest(`a container name must be specified for pod ${name}, choose one of: [${names.join(" ")}]`);
  }
  return first.name;
}
