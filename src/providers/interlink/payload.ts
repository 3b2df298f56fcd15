import { isUtf8 } from "node:buffer";
import { HostletError } from "../../errors.ts";
import type { ObjectSource } from "../../kube/objectSource.ts";
import type { ConfigMap, Container, Pod, Secret, Volume } from "../../kube/types.ts";
import { notFound, readObject } from "../../kubelet/env/readObject.ts";
import { resolveEnv } from "../../kubelet/env/resolveEnv.ts";
import type { Allocatable } from "../../kubelet/env/resourceField.ts";
import { collectPayload } from "../../kubelet/volumes/collect.ts";
import { resolvedAnnotation, resolvedValue } from "./wire/extension.ts";
import type { PodCreateRequests } from "./wire/types.ts";

export interface PayloadOptions {
  objects: ObjectSource;
  /** Address of the node: what a pod's environment has for hostIP and podIP. */
  hostIP: string;
  allocatable: Allocatable;
}

export interface Payload {
  request: PodCreateRequests;
  /** When a token in it has to be renewed, ms; undefined: there is none. */
  refreshAt: number | undefined;
}

/**
 * Everything that travels with a pod: its object with the environment resolved, and what its volumes refer to.
 * @throws {HostletError} PodInvalid: only another pod would help; any other: try again when something may have changed
 */
export async function buildPayload(pod: Pod, options: PayloadOptions, signal: AbortSignal): Promise<Payload> {
  const { configMaps, secrets, projected, refreshAt } = await objectsOf(pod, options, signal);
  const request = {
    pod: await withEnv(pod, options, signal),
    configmaps: configMaps,
    secrets,
    projectedvolumesmaps: projected,
    jobscriptURL: "",
  };
  return { request, refreshAt };
}

async function withEnv(pod: Pod, options: PayloadOptions, signal: AbortSignal): Promise<Pod> {
  const resolve = async (container: Container): Promise<Container> => {
    const { variables } = await resolveEnv({
      pod,
      container,
      objects: options.objects,
      addresses: { hostIPs: [options.hostIP], podIPs: [options.hostIP] },
      allocatable: options.allocatable,
      inherit: {},
      extra: {},
      signal,
    });
    const { envFrom: _, ...rest } = container;
    return { ...rest, env: Object.entries(variables).map(([name, value]) => ({ name, value })) };
  };
  const spec = { ...pod.spec!, containers: await Promise.all((pod.spec?.containers ?? []).map(resolve)) };
  if (spec.initContainers) spec.initContainers = await Promise.all(spec.initContainers.map(resolve));
  const annotations = { ...pod.metadata?.annotations, [resolvedAnnotation]: resolvedValue };
  const { managedFields: _, ...metadata } = pod.metadata ?? {};
  return { apiVersion: "v1", kind: "Pod", ...pod, metadata: { ...metadata, annotations }, spec };
}

async function objectsOf(pod: Pod, options: PayloadOptions, signal: AbortSignal) {
  const configMaps = new Map<string, ConfigMap>();
  const secrets = new Map<string, Secret>();
  const projected: ConfigMap[] = [];
  let refreshAt: number | undefined;
  const context = { pod, objects: options.objects, allocatable: options.allocatable, signal };
  const missing = (kind: "ConfigMap" | "Secret", name: string) =>
    new HostletError("CreateContainerFailed", `MountVolume.SetUp failed: ${notFound(kind, name)}`);
  for (const volume of pod.spec?.volumes ?? []) {
    const { configMap, secret } = volume;
    if (configMap) {
      const { name = "", optional = false } = configMap;
      const object = await readObject("ConfigMap", name, context);
      if (object) configMaps.set(name, slim("ConfigMap", object));
      else if (!optional) throw missing("ConfigMap", name);
    } else if (secret) {
      const { secretName: name = "", optional = false } = secret;
      const object = await readObject("Secret", name, context);
      if (object) secrets.set(name, slim("Secret", object));
      else if (!optional) throw missing("Secret", name);
    } else if (volume.projected) {
      const { map, renewAt } = await projectedMap(volume, context);
      projected.push(map);
      refreshAt = Math.min(refreshAt ?? Number.POSITIVE_INFINITY, renewAt ?? Number.POSITIVE_INFINITY);
    }
  }
  if (refreshAt === Number.POSITIVE_INFINITY) refreshAt = undefined;
  return { configMaps: [...configMaps.values()], secrets: [...secrets.values()], projected, refreshAt };
}

async function projectedMap(volume: Volume, context: Parameters<typeof collectPayload>[1]) {
  const { payload, refreshAt } = await collectPayload(volume, context);
  const data: Record<string, string> = {};
  const binaryData: Record<string, string> = {};
  for (const [path, file] of payload) {
    if (isUtf8(file.data)) data[path] = Buffer.from(file.data).toString();
    else binaryData[path] = Buffer.from(file.data).toString("base64");
  }
  const { namespace } = context.pod.metadata ?? {};
  const map: ConfigMap = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: volume.name, ...(namespace !== undefined && { namespace }) },
    data,
    ...(Object.keys(binaryData).length > 0 && { binaryData }),
  };
  return { map, renewAt: refreshAt };
}

/** Without who wrote which of its fields, which nobody at the far end needs. */
function slim<T extends ConfigMap | Secret>(kind: string, object: T): T {
  const { managedFields: _, ...metadata } = object.metadata ?? {};
  return { apiVersion: "v1", kind, ...object, metadata };
}
