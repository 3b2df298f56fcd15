import type { Pod } from "../../kube/types.ts";

export interface DnsSettings {
  nameservers: string[];
  searches: string[];
  options: string[];
}

export interface ClusterDns {
  /** Addresses of the cluster's DNS; none: the node knows of none. */
  servers: readonly string[];
  domain: string;
}

export function parseResolvConf(text: string): DnsSettings {
  const settings: DnsSettings = { nameservers: [], searches: [], options: [] };
  for (const line of text.split("\n")) {
    const [word, ...values] = line
      .replace(/^\s*[#;].*/, "")
      .trim()
      .split(/\s+/);
    if (word === "nameserver" && values[0]) settings.nameservers.push(values[0]);
    // The last one counts.
    if (word === "search" || word === "domain") settings.searches = values.filter((value) => value !== ".");
    if (word === "options") settings.options = values;
  }
  return settings;
}

/** A pod's /etc/resolv.conf as the kubelet writes it, by dnsPolicy and dnsConfig. The host's DNS where the node knows of no other. */
export function resolvConf(pod: Pod, cluster: ClusterDns, host: DnsSettings): string {
  const { dnsPolicy = "ClusterFirst", hostNetwork, dnsConfig } = pod.spec ?? {};
  const namespace = pod.metadata?.namespace ?? "default";
  const wantsCluster = dnsPolicy === "ClusterFirstWithHostNet" || (dnsPolicy === "ClusterFirst" && !hostNetwork);
  let settings: DnsSettings = host;
  if (dnsPolicy === "None") settings = { nameservers: [], searches: [], options: [] };
  else if (wantsCluster && cluster.servers.length > 0) {
    const searches = [`${namespace}.svc.${cluster.domain}`, `svc.${cluster.domain}`, cluster.domain, ...host.searches];
    settings = { nameservers: [...cluster.servers], searches, options: ["ndots:5"] };
  }
  const nameservers = unique([...settings.nameservers, ...(dnsConfig?.nameservers ?? [])]);
  const searches = unique([...settings.searches, ...(dnsConfig?.searches ?? [])]);
  const options = mergedOptions(settings.options, dnsConfig?.options ?? []);
  const lines = nameservers.map((server) => `nameserver ${server}`);
  if (searches.length > 0) lines.unshift(`search ${searches.join(" ")}`);
  if (options.length > 0) lines.push(`options ${options.join(" ")}`);
  return lines.map((line) => `${line}\n`).join("");
}

function unique(values: string[]): string[] {
  return [...new Set(values)];
}

/** By name: what the pod gives replaces what there is. */
function mergedOptions(base: readonly string[], own: readonly { name?: string; value?: string }[]): string[] {
  const byName = new Map(base.map((option) => [option.split(":", 1)[0] ?? option, option]));
  for (const { name, value } of own) {
    if (name) byName.set(name, value === undefined || value === "" ? name : `${name}:${value}`);
  }
  return [...byName.values()];
}
