import type { Pod } from "../../kube/types.ts";
import type { PodNames } from "./hostname.ts";

const fixed = [
  "127.0.0.1\tlocalhost",
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::0\tip6-localnet",
  "fe00::0\tip6-mcastprefix",
  "fe00::1\tip6-allnodes",
  "fe00::2\tip6-allrouters",
];

/**
 * A pod's /etc/hosts as the kubelet writes it.
 * @param hostText of the host's own, which a pod on the host's network has
 */
export function hostsFile(pod: Pod, names: PodNames, podIPs: readonly string[], hostText: string): string {
  const { hostNetwork, hostAliases = [] } = pod.spec ?? {};
  const lines: string[] = [];
  if (hostNetwork) {
    lines.push("# Kubernetes-managed hosts file (host network).", hostText.replace(/\n$/, ""));
  } else {
    lines.push("# Kubernetes-managed hosts file.", ...fixed);
    const own = names.fqdn === undefined ? [names.hostname] : [names.fqdn, shortName(names.hostname)];
    for (const ip of podIPs) lines.push([ip, ...own].join("\t"));
  }
  if (hostAliases.length > 0) {
    lines.push("", "# Entries added by HostAliases.");
    for (const { ip, hostnames = [] } of hostAliases) lines.push([ip, ...hostnames].join("\t"));
  }
  return `${lines.join("\n")}\n`;
}

function shortName(name: string): string {
  return name.split(".", 1)[0] ?? name;
}
