import type { Pod } from "../../kube/types.ts";

/** As the kernel has it: what the host's name may have at most. */
const longest = 63;

export interface PodNames {
  /** Of the pod's own UTS namespace. */
  hostname: string;
  /** `<hostname>.<subdomain>.<namespace>.svc.<cluster domain>`, of a pod with a subdomain. */
  fqdn?: string;
}

/** The names of a pod as the kubelet gives them; on the host's network they are the host's. */
export function podNames(pod: Pod, host: { hostname: string; clusterDomain: string }): PodNames | string {
  const { spec, metadata } = pod;
  if (spec?.hostNetwork) return { hostname: host.hostname };
  const name = spec?.hostname || (metadata?.name ?? "");
  const hostname = name.slice(0, longest).replace(/[-.]+$/, "");
  if (!spec?.subdomain) return { hostname };
  const fqdn = `${hostname}.${spec.subdomain}.${metadata?.namespace ?? "default"}.svc.${host.clusterDomain}`;
  if (!spec.setHostnameAsFQDN) return { hostname, fqdn };
  if (fqdn.length > 64) {
    return `Failed to construct FQDN from Pod hostname and cluster domain, FQDN ${fqdn} is too long (64 characters is the max, ${fqdn.length} characters requested)`;
  }
  return { hostname: fqdn, fqdn };
}
