import * as v from "valibot";
import type { ConfigMap, ContainerStatus, Pod, Secret, Taint } from "../../../kube/types.ts";
import type {
  CreateStruct,
  HopExtension,
  LogStruct,
  PingResponse,
  PodCreateRequests,
  PodExtension,
  RetrievedContainer,
  WirePodStatus,
} from "./types.ts";

/** A body that is not what the protocol has there. The message is for whoever sent it. */
export class WireError extends Error {
  override name = "WireError";
}

const nullable = <T extends v.GenericSchema>(schema: T) =>
  v.pipe(
    v.nullish(schema),
    v.transform((value): v.InferOutput<T> | undefined => value ?? undefined),
  );
const text = v.pipe(
  v.nullish(v.string(), ""),
  v.transform((value) => value ?? ""),
);
const flag = v.pipe(
  v.nullish(v.boolean(), false),
  v.transform((value) => value ?? false),
);
const count = v.pipe(
  v.nullish(v.number(), 0),
  v.transform((value) => value ?? 0),
);
/** Go writes an empty list as null. */
const list = <T extends v.GenericSchema>(schema: T) =>
  v.pipe(
    v.nullish(v.array(schema), []),
    v.transform((value): v.InferOutput<T>[] => value ?? []),
  );
const strings = v.nullish(v.record(v.string(), v.string()));

const metadata = v.looseObject({
  name: v.nullish(v.string()),
  namespace: v.nullish(v.string()),
  uid: v.nullish(v.string()),
  annotations: strings,
  labels: strings,
});
const named = v.looseObject({ name: v.string() });
/** Looked into as far as something here relies on it; the rest is the Provider's to judge. */
const container = v.looseObject({
  name: v.string(),
  image: v.nullish(v.string()),
  command: v.nullish(v.array(v.string())),
  args: v.nullish(v.array(v.string())),
  env: v.nullish(v.array(v.looseObject({ name: v.string(), value: v.nullish(v.string()) }))),
  envFrom: v.nullish(v.array(v.looseObject({}))),
  volumeMounts: v.nullish(v.array(v.looseObject({ name: v.string(), mountPath: v.string() }))),
});
const pod = v.looseObject({
  metadata,
  spec: v.looseObject({
    containers: v.array(container),
    initContainers: v.nullish(v.array(container)),
    volumes: v.nullish(v.array(named)),
  }),
});
const eviction = v.object({
  reason: v.string(),
  message: v.string(),
  gracePeriodSeconds: v.pipe(v.number(), v.minValue(0)),
});
const object = v.looseObject({ metadata, data: strings });
const objects = <T>() =>
  v.pipe(
    list(object),
    v.transform((value) => value as T[]),
  );

/** Drops nulls, as Go does with them: a pod of its marshalling has `creationTimestamp: null` and the like. */
function withoutNulls<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutNulls) as T;
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([, inner]) => inner !== null);
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutNulls(inner)])) as T;
}

const asPod = (value: v.InferOutput<typeof pod>): Pod => withoutNulls(value) as unknown as Pod;

const createRequests = v.looseObject({
  pod,
  configmaps: objects<ConfigMap>(),
  secrets: objects<Secret>(),
  projectedvolumesmaps: objects<ConfigMap>(),
  jobscriptURL: text,
});
const retrieved = v.looseObject({
  pod,
  container: list(
    v.looseObject({
      name: text,
      configMaps: objects<ConfigMap>(),
      projectedvolumemaps: objects<ConfigMap>(),
      secrets: objects<Secret>(),
      emptyDirs: list(v.string()),
    }),
  ),
  jobScript: nullable(v.string()),
});
const statusList = v.pipe(
  v.nullish(
    v.array(
      v.looseObject({
        name: text,
        UID: text,
        namespace: text,
        JID: text,
        containers: list(named),
        initContainers: list(named),
        hostlet: nullable(v.looseObject({})),
      }),
    ),
  ),
  v.transform((value) => value ?? []),
);
const logs = v.looseObject({
  Namespace: text,
  PodUID: text,
  PodName: text,
  ContainerName: text,
  Opts: v.nullish(
    v.looseObject({
      Tail: count,
      Bytes: count,
      /** The name of it in interLink's Python SDK. */
      LimitBytes: count,
      Timestamps: flag,
      Follow: flag,
      Previous: flag,
      SinceSeconds: count,
      SinceTime: text,
    }),
  ),
});
const whole = v.pipe(v.number(), v.integer(), v.minValue(0));
const ping = v.looseObject({
  status: nullable(v.string()),
  resources: nullable(
    v.looseObject({
      cpu: nullable(v.string()),
      memory: nullable(v.string()),
      pods: nullable(v.string()),
      accelerators: nullable(v.array(v.looseObject({ resourceType: v.string(), available: whole }))),
    }),
  ),
  taints: nullable(v.array(v.looseObject({ key: v.string(), value: nullable(v.string()), effect: text }))),
  hostlet: nullable(
    v.looseObject({
      capabilities: v.record(v.string(), v.union([v.literal(true), v.string()])),
      foreign: nullable(v.boolean()),
    }),
  ),
});

/** @throws {WireError} */
export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new WireError(`is no JSON: ${JSON.stringify(body.slice(0, 80))}`);
  }
}

/** `/create` as the node sends it. @throws {WireError} */
export function decodeCreateRequests(value: unknown): PodCreateRequests {
  const found = check(createRequests, value);
  return { ...found, pod: asPod(found.pod) };
}

/** What a plugin's `/create` may be given: an object, a list of one (API servers up to 0.3), or what a node sends. */
export interface PluginCreate {
  pod: Pod;
  configMaps: ConfigMap[];
  secrets: Secret[];
  /** By the volume's name. */
  projected: ConfigMap[];
  jobScript?: string;
}

/** @throws {WireError} */
export function decodePluginCreate(value: unknown): PluginCreate {
  if (Array.isArray(value) && value.length !== 1) throw new WireError(`holds ${value.length} pods, not one`);
  const one: unknown = Array.isArray(value) ? value[0] : value;
  const data = check(retrieved, one);
  const direct = check(v.partial(createRequests, ["configmaps", "secrets", "projectedvolumesmaps"]), one);
  return {
    pod: asPod(data.pod),
    configMaps: [...data.container.flatMap((c) => c.configMaps), ...(direct.configmaps ?? [])],
    secrets: [...data.container.flatMap((c) => c.secrets), ...(direct.secrets ?? [])],
    projected: [...data.container.flatMap((c) => c.projectedvolumemaps), ...(direct.projectedvolumesmaps ?? [])],
    ...(data.jobScript !== undefined && { jobScript: data.jobScript }),
  };
}

/** `/delete`. @throws {WireError} */
export function decodePod(value: unknown): Pod {
  return asPod(check(pod, Array.isArray(value) && value.length === 1 ? value[0] : value));
}

/** The extension's eviction of a pod. @throws {WireError} */
export function decodeEviction(value: unknown) {
  const { pod: object, eviction: found } = check(v.object({ pod, eviction }), value);
  return { pod: asPod(object), ...found };
}

/** `/status`, the question. @throws {WireError} */
export function decodePods(value: unknown): Pod[] {
  if (value === null) return [];
  return check(v.array(pod), Array.isArray(value) ? value : [value]).map(asPod);
}

/** `/status`, the answer; null is an empty one. @throws {WireError} */
export function decodeStatuses(value: unknown): WirePodStatus[] {
  return check(statusList, value).map(({ hostlet, containers, initContainers, ...status }) => ({
    ...status,
    containers: withoutNulls(containers) as unknown as ContainerStatus[],
    initContainers: withoutNulls(initContainers) as unknown as ContainerStatus[],
    ...(hostlet && { hostlet: hostlet as PodExtension }),
  }));
}

/** @throws {WireError} */
export function decodeCreateReply(value: unknown): CreateStruct {
  const reply = Array.isArray(value) ? value[0] : value;
  return check(v.looseObject({ PodUID: text, PodJID: text }), reply);
}

/** `/getLogs`. @throws {WireError} */
export function decodeLogs(value: unknown): LogStruct {
  const { Opts, ...names } = check(logs, value);
  const none = { Tail: 0, Bytes: 0, Timestamps: false, Follow: false, Previous: false, SinceSeconds: 0, SinceTime: "" };
  if (!Opts) return { ...names, Opts: none };
  const { LimitBytes, ...opts } = Opts;
  return { ...names, Opts: { ...opts, Bytes: opts.Bytes || LimitBytes } };
}

/** The answer to a ping; any text that is no such object says no more than that somebody is there. */
export function decodePing(body: string): PingResponse {
  try {
    const result = v.safeParse(ping, JSON.parse(body));
    if (!result.success) return {};
    const { hostlet, taints, ...rest } = withoutNulls(result.output);
    return {
      ...(rest as PingResponse),
      ...(taints && { taints: taints as Taint[] }),
      ...(hostlet && { hostlet: hostlet as unknown as HopExtension }),
    };
  } catch {
    return {};
  }
}

/** A list of a container's objects, as Go writes one: null where there is none. */
export function retrievedContainer(
  name: string,
  from: Omit<RetrievedContainer, "name" | "emptyDirs">,
): RetrievedContainer {
  const orNull = <T>(values: T[] | null) => (values && values.length > 0 ? values : null);
  return {
    name,
    configMaps: orNull(from.configMaps),
    projectedvolumemaps: orNull(from.projectedvolumemaps),
    secrets: orNull(from.secrets),
    emptyDirs: null,
  };
}

function check<T extends v.GenericSchema>(schema: T, value: unknown): v.InferOutput<T> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = v.getDotPath(issue);
  throw new WireError(`${path === null ? "" : `${path} `}must be ${issue.expected ?? "else"}, not ${issue.received}`);
}
