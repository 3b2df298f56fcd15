import { randomInt } from "node:crypto";
import type { Container, Pod, PodSpec, ServiceAccount, Volume } from "../../kube/types.ts";
import { keyOf, type Stored } from "../objects.ts";
import { namespacesResource, podsResource, serviceAccountsResource } from "../resources.ts";
import type { Api } from "../rest/api.ts";
import { forbidden } from "../status.ts";

const mirrorAnnotation = "kubernetes.io/config.mirror";
const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
const volumePrefix = "kube-api-access-";
const suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789";

/**
 * A new pod's spec as the ServiceAccount admission plugin leaves it.
 * @throws {StatusError} 403 where the service account does not exist
 */
export function admitServiceAccount(api: Api, object: Stored): PodSpec | undefined {
  const pod = object as Pod;
  const { spec } = pod;
  const { name, namespace = "", annotations } = object.metadata;
  // The lack of a namespace is told by whoever looks for that.
  if (!api.serviceAccounts || !spec || annotations?.[mirrorAnnotation] !== undefined) return spec;
  if (!api.store.get(namespacesResource, keyOf(undefined, namespace))) return spec;
  const accountName = spec.serviceAccountName ?? "default";
  const account = api.store.get(serviceAccountsResource, keyOf(namespace, accountName));
  if (!account) {
    const why = `error looking up service account ${namespace}/${accountName}: serviceaccount "${accountName}" not found`;
    throw forbidden(podsResource, name, why);
  }
  return api.serviceAccounts.automount ? withServiceAccountToken(spec, account.object as ServiceAccount) : spec;
}

/**
 * The pod's spec with its service account's token mounted in every container that has nothing there yet, as the API server's
 * ServiceAccount admission does it; the same spec where that is not wanted (the pod's word counts before the account's).
 */
export function withServiceAccountToken(spec: PodSpec, account: ServiceAccount): PodSpec {
  if (!(spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true)) return spec;
  const { volumes = [], containers, initContainers } = spec;
  const own = volumes.find((volume) => volume.name.startsWith(volumePrefix));
  const name = own?.name ?? volumePrefix + suffix();
  const lacking = [...containers, ...(initContainers ?? [])].filter((container) => !hasMount(container));
  if (lacking.length === 0) return spec;
  const mounted = (container: Container): Container =>
    hasMount(container)
      ? container
      : { ...container, volumeMounts: [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath }] };
  return {
    ...spec,
    containers: containers.map(mounted),
    ...(initContainers && { initContainers: initContainers.map(mounted) }),
    volumes: own ? volumes : [...volumes, tokenVolume(name)],
  };
}

function hasMount(container: Container): boolean {
  return (container.volumeMounts ?? []).some((mount) => mount.mountPath === mountPath);
}

function suffix(): string {
  return Array.from({ length: 5 }, () => suffixAlphabet[randomInt(suffixAlphabet.length)]).join("");
}

function tokenVolume(name: string): Volume {
  const namespace = { path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } };
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
        { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
        { downwardAPI: { items: [namespace] } },
      ],
    },
  };
}
