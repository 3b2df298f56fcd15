import { HostletError } from "../../errors.ts";
import type { ObjectSource } from "../../kube/objectSource.ts";
import type { DownwardAPIVolumeFile, Pod, ReferencedKinds, Volume, VolumeProjection } from "../../kube/types.ts";
import { notFound, readObject } from "../env/readObject.ts";
import { type Allocatable, resourceField } from "../env/resourceField.ts";
import { metadataField } from "../fieldPath.ts";
import { checkVolumePath } from "./paths.ts";
import {
  checkPayload,
  configMapPayload,
  mergePayloads,
  ownerBits,
  type Payload,
  secretPayload,
  standardMode,
} from "./payload.ts";
import { projectedToken } from "./projectedToken.ts";

export interface CollectContext {
  pod: Pod;
  objects: ObjectSource;
  allocatable: Allocatable;
  /** See `ProjectionOptions`. @default false */
  exactModes?: boolean;
  signal: AbortSignal;
}

export interface Collected {
  payload: Payload;
  /** When a token among them has to be renewed, in milliseconds since the epoch; undefined: there is none. */
  refreshAt: number | undefined;
}

/**
 * The files that a configMap, secret, downwardAPI or projected volume should hold now.
 * @throws {HostletError} CreateContainerFailed: something is missing, try again when it may have changed; PodInvalid: only
 *   another pod would help
 */
export async function collectPayload(volume: Volume, context: CollectContext): Promise<Collected> {
  const { configMap, secret, downwardAPI, projected } = volume;
  let payload: Payload;
  let refreshAt: number | undefined;
  if (configMap) {
    payload = await fromConfigMap(configMap, configMap.defaultMode, context);
  } else if (secret) {
    const { secretName: name = "", defaultMode, ...source } = secret;
    payload = await fromSecret({ ...source, name }, defaultMode, context);
  } else if (downwardAPI) {
    payload = downwardPayload(downwardAPI.items, downwardAPI.defaultMode, context);
  } else {
    const renewed = (at: number) => {
      refreshAt = Math.min(at, refreshAt ?? at);
    };
    const sources = (projected?.sources ?? []).map((source) =>
      fromProjection(volume, source, projected?.defaultMode, context, renewed),
    );
    payload = mergePayloads(allOrThrow(await Promise.allSettled(sources)));
  }
  checkPayload(payload);
  return { payload, refreshAt };
}

export function holdsToken(volume: Volume): boolean {
  return volume.projected?.sources?.some((source) => source.serviceAccountToken) === true;
}

/** Where there are no tokens, an auto-mounted service account volume goes without its file: nobody asked for it. */
export function lacksToken(volume: Volume, objects: ObjectSource): boolean {
  return !objects.serviceAccountToken && isAutoMounted(volume) && holdsToken(volume);
}

/** What the API server's ServiceAccount admission adds to pods, asked for by nobody. */
function isAutoMounted(volume: Volume): boolean {
  return volume.name.startsWith("kube-api-access-");
}

async function fromProjection(
  volume: Volume,
  source: VolumeProjection,
  mode: number | undefined,
  context: CollectContext,
  renewed: (refreshAt: number) => void,
): Promise<Payload> {
  if (source.configMap) return fromConfigMap(source.configMap, mode, context);
  if (source.secret) return fromSecret(source.secret, mode, context);
  if (source.downwardAPI) return downwardPayload(source.downwardAPI.items, mode, context);
  if (source.serviceAccountToken) {
    if (lacksToken(volume, context.objects)) return new Map();
    const { path, token, refreshAt } = await projectedToken(source.serviceAccountToken, context);
    renewed(refreshAt);
    return new Map([[path, { data: Buffer.from(token), mode: (mode ?? standardMode) & ownerBits }]]);
  }
  const type = Object.keys(source)[0] ?? "of no type";
  throw new HostletError(
    "PodInvalid",
    `source ${type} is not supported yet; this node projects configMap, secret, downwardAPI and serviceAccountToken`,
  );
}

type ObjectProjection = Pick<NonNullable<VolumeProjection["configMap"]>, "name" | "items" | "optional">;

async function fromConfigMap(source: ObjectProjection, mode: number | undefined, context: CollectContext) {
  const { items, optional } = source;
  const configMap = await read("ConfigMap", source, context);
  return configMapPayload(configMap, { items, optional, defaultMode: mode ?? standardMode });
}

async function fromSecret(source: ObjectProjection, mode: number | undefined, context: CollectContext) {
  const { items, optional } = source;
  const secret = await read("Secret", source, context);
  const { exactModes = false } = context;
  return secretPayload(secret, { items, optional, defaultMode: mode ?? standardMode, exactModes });
}

/** Undefined only where the object is optional. */
async function read<K extends keyof ReferencedKinds>(
  kind: K,
  { name = "", optional = false }: ObjectProjection,
  context: CollectContext,
): Promise<ReferencedKinds[K] | undefined> {
  const object = await readObject(kind, name, context);
  if (!object && !optional) throw new HostletError("CreateContainerFailed", notFound(kind, name));
  return object;
}

function downwardPayload(
  items: DownwardAPIVolumeFile[] = [],
  defaultMode: number | undefined,
  { pod, allocatable }: CollectContext,
): Payload {
  const payload: Payload = new Map();
  for (const { path, fieldRef, resourceFieldRef, mode = defaultMode ?? standardMode } of items) {
    let text = "";
    if (fieldRef) text = metadataField(pod, fieldRef.fieldPath);
    else if (resourceFieldRef) text = resourceField(resourceFieldRef, pod, undefined, allocatable);
    payload.set(checkVolumePath(path, "path"), { data: Buffer.from(text), mode: mode & 0o777 });
  }
  return payload;
}

/**
 * All values, or one error for all that failed: PodInvalid where one of them is.
 * @throws {HostletError}
 */
export function allOrThrow<T>(results: PromiseSettledResult<T>[]): T[] {
  const values: T[] = [];
  const errors: unknown[] = [];
  for (const result of results) {
    if (result.status === "fulfilled") values.push(result.value);
    else errors.push(result.reason);
  }
  if (errors.length <= 1) {
    if (errors.length === 1) throw errors[0];
    return values;
  }
  const foreign = errors.find((error) => !(error instanceof HostletError));
  if (foreign) throw foreign;
  const known = errors as HostletError[];
  const worst = known.find((error) => error.code === "PodInvalid") ?? known[0]!;
  const messages = [...new Set(known.map((error) => error.message))];
  const options = worst.reason === undefined ? { cause: worst } : { cause: worst, reason: worst.reason };
  throw new HostletError(worst.code, messages.length === 1 ? messages[0]! : `[${messages.join(", ")}]`, options);
}
