import { isUtf8 } from "node:buffer";
import { HostletError } from "../../errors.ts";
import type { ObjectSource } from "../../kube/objectSource.ts";
import type { Container, EnvFromSource, EnvVar, Pod, ReferencedKinds } from "../../kube/types.ts";
import type { PodAddresses } from "../fieldPath.ts";
import { podField } from "../fieldPath.ts";
import { expandHome } from "./compat.ts";
import { expand, lookupIn } from "./expansion.ts";
import { notFound, readObject } from "./readObject.ts";
import { type Allocatable, resourceField } from "./resourceField.ts";

export interface EnvRequest {
  pod: Pod;
  container: Container;
  objects: ObjectSource;
  addresses: PodAddresses;
  allocatable: Allocatable;
  /** What containers inherit from the host. Everything else overrides it, and `$(NAME)` does not see it. */
  inherit: Readonly<Record<string, string>>;
  /** hostlet's own variables (`hostletVariables`): the pod overrides them, and `$(NAME)` sees them. */
  extra: Readonly<Record<string, string>>;
  /** Compatibility mode: `~` and `$HOME` in values of `env` stand for this directory. Undefined: they stay. */
  compatHome?: string | undefined;
  signal: AbortSignal;
}

export interface ResolvedEnv {
  /** What the pod declares, and `extra`: what `$(NAME)` in command, arguments and subPathExpr may refer to. */
  variables: Record<string, string>;
  /** The whole environment of the container. */
  env: Record<string, string>;
  warnings: EnvWarning[];
}

/** For an Event of type Warning. */
export interface EnvWarning {
  reason: "InvalidEnvironmentVariableNames";
  message: string;
}

/** Linux refuses a single argument or `NAME=value` of more bytes, its closing NUL included (MAX_ARG_STRLEN). */
export const longestArgument = 32 * 4096;

/**
 * The environment of a container: inherited, then HOSTNAME, hostlet's own, `envFrom`, `env`; later ones override.
 * @throws {HostletError} with reason CreateContainerConfigError. Code PodInvalid: only another pod would help. Code
 *   CreateContainerFailed: a ConfigMap, Secret or key is missing or unreadable; try again when it may have changed
 */
export async function resolveEnv(request: EnvRequest): Promise<ResolvedEnv> {
  const { pod, container, inherit, extra } = request;
  const read = objectReader(request);
  const declared = new Map<string, string>();
  const warnings: EnvWarning[] = [];

  for (const source of container.envFrom ?? []) {
    const { values, invalid, from } = await readEnvFrom(source, pod.metadata?.namespace, read);
    for (const [name, value] of values) declared.set(name, value);
    if (invalid.length > 0) {
      const message = `Keys [${invalid.join(", ")}] from the EnvFrom ${from} were skipped since they are considered invalid environment variable names.`;
      warnings.push({ reason: "InvalidEnvironmentVariableNames", message });
    }
  }
  const lookup = (name: string) => declared.get(name) ?? lookupIn(extra)(name);
  for (const variable of container.env ?? []) {
    checkName(variable.name);
    const value = variable.value
      ? expand(expandHome(variable.value, request.compatHome), lookup)
      : await readValue(variable, request, read);
    if (value !== undefined) declared.set(variable.name, value);
  }
  for (const [name, value] of declared) checkValue(name, value);

  const variables = { ...extra, ...Object.fromEntries(declared) };
  return { variables, env: { ...inherit, HOSTNAME: hostname(pod), ...variables }, warnings };
}

const configErrorReason = "CreateContainerConfigError";

type Reader = <K extends keyof ReferencedKinds>(
  kind: K,
  name: string,
  optional: boolean,
) => Promise<ReferencedKinds[K] | undefined>;

/** Reads each object once. Undefined is only given for one that is optional. */
function objectReader(request: EnvRequest): Reader {
  const seen = new Map<string, Promise<ReferencedKinds[keyof ReferencedKinds] | undefined>>();
  return async <K extends keyof ReferencedKinds>(kind: K, name: string, optional: boolean) => {
    const id = `${kind}/${name}`;
    const reading = seen.get(id) ?? readObject(kind, name, request, configErrorReason);
    seen.set(id, reading);
    const object = (await reading) as ReferencedKinds[K] | undefined;
    if (!object && !optional) throw missing(notFound(kind, name));
    return object;
  };
}

async function readEnvFrom(source: EnvFromSource, namespace: string | undefined, read: Reader) {
  const { configMapRef, secretRef, prefix = "" } = source;
  let from = "";
  let entries: [string, string][] = [];
  if (configMapRef) {
    const { name = "", optional = false } = configMapRef;
    const configMap = await read("ConfigMap", name, optional);
    from = `configMap ${namespace}/${name}`;
    entries = Object.entries(configMap?.data ?? {});
  } else if (secretRef) {
    const { name = "", optional = false } = secretRef;
    const secret = await read("Secret", name, optional);
    from = `secret ${namespace}/${name}`;
    entries = Object.entries(secret?.data ?? {});
  }
  const values: [string, string][] = [];
  const invalid: string[] = [];
  for (const [key, value] of entries.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const name = prefix + key;
    if (!validFromName(name)) invalid.push(key);
    else values.push([name, secretRef ? decode(name, value) : value]);
  }
  return { values, invalid, from };
}

/** Undefined: the variable is optional, and is left out. */
async function readValue(variable: EnvVar, request: EnvRequest, read: Reader): Promise<string | undefined> {
  const { pod, container, addresses, allocatable } = request;
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = variable.valueFrom ?? {};
  if (fieldRef) return configError(variable.name, () => podField(pod, fieldRef.fieldPath, addresses));
  if (resourceFieldRef) {
    return configError(variable.name, () => resourceField(resourceFieldRef, pod, container, allocatable));
  }
  const reference = configMapKeyRef ?? secretKeyRef;
  if (!reference) {
    const [other] = Object.keys(variable.valueFrom ?? {});
    if (other === undefined) return "";
    const offered = "fieldRef, resourceFieldRef, configMapKeyRef and secretKeyRef";
    throw invalid(`environment variable ${variable.name}: valueFrom.${other} is not offered here, but ${offered}`);
  }
  const { name = "", key, optional = false } = reference;
  const kind = configMapKeyRef ? "ConfigMap" : "Secret";
  const object = await read(kind, name, optional);
  const value = object?.data && Object.hasOwn(object.data, key) ? object.data[key] : undefined;
  if (value === undefined) {
    if (optional) return undefined;
    throw missing(`couldn't find key ${key} in ${kind} ${pod.metadata?.namespace}/${name}`);
  }
  return kind === "Secret" ? decode(variable.name, value) : value;
}

/** A Secret's value is base64 of bytes; a variable is text. */
function decode(variable: string, base64: string): string {
  const bytes = Buffer.from(base64, "base64");
  if (!isUtf8(bytes)) {
    throw missing(
      `the Secret's value for environment variable ${variable} is not UTF-8 text: mount the Secret as a volume`,
    );
  }
  return bytes.toString();
}

/** Names that `envFrom` may set, as Kubernetes has long had it: others surprise shells. */
function validFromName(name: string): boolean {
  return /^[-._a-zA-Z][-._a-zA-Z0-9]*$/.test(name) && name !== "." && !name.startsWith("..");
}

function checkName(name: string): void {
  if (/^[\x20-\x3c\x3e-\x7e]+$/.test(name)) return;
  throw invalid(`environment variable name ${JSON.stringify(name)}: must be printable ASCII without "="`);
}

function checkValue(name: string, value: string): void {
  if (value.includes("\0")) {
    throw missing(`the value of environment variable ${name} holds a NUL character, which no environment can`);
  }
  const bytes = Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
  if (bytes > longestArgument) {
    throw missing(
      `environment variable ${name} has ${bytes} bytes, Linux takes ${longestArgument} in one: mount it as a file`,
    );
  }
}

/** The name that the pod would have as a host, as the kubelet cuts it to 63 characters. */
function hostname(pod: Pod): string {
  const name = pod.spec?.hostNetwork ? pod.spec.nodeName : (pod.spec?.hostname ?? pod.metadata?.name);
  return (name ?? "").slice(0, 63).replace(/[-.]+$/, "");
}

function configError(variable: string, resolve: () => string): string {
  try {
    return resolve();
  } catch (error) {
    throw invalid(`environment variable ${variable}: ${(error as Error).message}`, error);
  }
}

function invalid(message: string, cause?: unknown): HostletError {
  return new HostletError("PodInvalid", message, { cause, reason: configErrorReason });
}

function missing(message: string): HostletError {
  return new HostletError("CreateContainerFailed", message, { reason: configErrorReason });
}
