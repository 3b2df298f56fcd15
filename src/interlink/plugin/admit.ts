import type { ConfigMap, Container, Pod, Secret, Volume } from "../../kube/types.ts";
import type { PluginCreate } from "../../providers/interlink/wire/decode.ts";
import { resolvedAnnotation, resolvedValue } from "../../providers/interlink/wire/extension.ts";
import { HttpError } from "../http/exchange.ts";
import type { PodObjects } from "./requestObjects.ts";

const label = /^(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** A UUID; of static pods a hash. Directories are named so. */
const identifier = /^(?=.{1,128}$)[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$/;

/** Names that become paths, checked as an API server has checked them: this one may not have been asked. @throws {HttpError} 400 */
export function checkNames(pod: Pod): void {
  const { namespace = "", name = "", uid = "" } = pod.metadata ?? {};
  check(label.test(namespace), `metadata.namespace ${quoted(namespace)}: must be a valid DNS label`);
  check(subdomain.test(name), `metadata.name ${quoted(name)}: must be a valid DNS subdomain`);
  check(identifier.test(uid), `metadata.uid ${quoted(uid)}: must be a valid UUID`);
  const { containers = [], initContainers = [], volumes = [] } = pod.spec ?? {};
  check(containers.length > 0, "spec.containers: must have at least one");
  const seen = new Set<string>();
  for (const { name: container } of [...initContainers, ...containers]) {
    check(label.test(container), `container name ${quoted(container)}: must be a valid DNS label`);
    check(!seen.has(container), `container name ${quoted(container)}: must be unique`);
    seen.add(container);
  }
  for (const { name: volume } of volumes)
    check(label.test(volume), `volume name ${quoted(volume)}: must be a valid DNS label`);
}

/**
 * The pod as a Provider takes it: environment values that are resolved already are not resolved again, and what came for its projected
 * volumes is theirs.
 */
export function admit(create: PluginCreate): { pod: Pod; objects: PodObjects } {
  const { namespace = "", uid = "" } = create.pod.metadata ?? {};
  const here = <T extends ConfigMap | Secret>(object: T): T => ({
    ...object,
    metadata: { ...object.metadata, namespace },
  });
  const secrets = create.secrets.map(here);
  const volumes = create.pod.spec?.volumes?.map((volume) => {
    if (!volume.projected) return volume;
    const files = create.projected.find(({ metadata }) => metadata?.name === volume.name);
    const { defaultMode } = volume.projected;
    if (files) {
      const secretName = `${uid}.${volume.name}`;
      secrets.push(secretOf(files, secretName, namespace));
      return { name: volume.name, secret: { secretName, ...(defaultMode !== undefined && { defaultMode }) } };
    }
    // Credentials that nobody asked for and that did not come: the volume is there, and empty.
    return volume.name.startsWith("kube-api-access-") ? ({ name: volume.name, emptyDir: {} } satisfies Volume) : volume;
  });
  const { [resolvedAnnotation]: resolved, ...annotations } = create.pod.metadata?.annotations ?? {};
  const settle = (containers: Container[]) =>
    resolved === resolvedValue ? containers.map(withLiteralEnv) : containers;
  const { containers = [], initContainers } = create.pod.spec ?? {};
  const pod: Pod = {
    ...create.pod,
    metadata: { ...create.pod.metadata, annotations },
    spec: {
      ...create.pod.spec,
      containers: settle(containers),
      ...(initContainers && { initContainers: settle(initContainers) }),
      ...(volumes && { volumes }),
    },
  };
  return { pod, objects: { configMaps: create.configMaps.map(here), secrets } };
}

function withLiteralEnv(container: Container): Container {
  const { env } = container;
  if (!env) return container;
  return {
    ...container,
    env: env.map(({ value, ...rest }) => (value === undefined ? rest : { ...rest, value: literal(value) })),
  };
}

/** So that Kubernetes' expansion of `$(NAME)` gives the text itself. */
export function literal(text: string): string {
  return text.replaceAll("$", () => "$$");
}

function secretOf(files: ConfigMap, name: string, namespace: string): Secret {
  const base64 = Object.entries(files.data ?? {}).map(([path, text]) => [path, Buffer.from(text).toString("base64")]);
  return { metadata: { name, namespace }, data: { ...Object.fromEntries(base64), ...files.binaryData } };
}

function check(holds: boolean, message: string): asserts holds {
  if (!holds) throw new HttpError(400, `invalid pod: ${message}`);
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
