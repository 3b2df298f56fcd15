import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname as hostName } from "node:os";
import { join } from "node:path";
import { HostletError } from "../../errors.ts";
import type { Container, Pod } from "../../kube/types.ts";
import type { ContainerMount } from "../../runtimes/contract.ts";
import { podNames } from "./hostname.ts";
import { hostsFile } from "./hostsFile.ts";
import { type ClusterDns, parseResolvConf, resolvConf } from "./resolvConf.ts";

export interface NetworkFiles {
  hostname: string;
  /** In the pod's directory; by the path that a container sees. */
  files: ReadonlyMap<string, string>;
}

/**
 * Writes what a pod with mounts of its own has for /etc/hosts, /etc/hostname and /etc/resolv.conf. What a container changed in them stays over a
 * restart of the agent.
 * @throws {HostletError} PodInvalid where the names that it asks for can't be
 */
export function writeNetworkFiles(
  pod: Pod,
  podDir: string,
  podIPs: readonly string[],
  cluster: ClusterDns,
): NetworkFiles {
  const names = podNames(pod, { hostname: hostName(), clusterDomain: cluster.domain });
  if (typeof names === "string") throw new HostletError("PodInvalid", names, { reason: "FailedCreatePodSandBox" });
  const dns = resolvConf(pod, cluster, parseResolvConf(read("/etc/resolv.conf")));
  const dir = join(podDir, "etc");
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const texts = {
    hosts: hostsFile(pod, names, podIPs, read("/etc/hosts")),
    hostname: `${names.hostname}\n`,
    "resolv.conf": dns,
  };
  const files = new Map<string, string>();
  for (const [name, text] of Object.entries(texts)) {
    const path = join(dir, name);
    files.set(`/etc/${name}`, path);
    try {
      writeFileSync(path, text, { flag: "wx", mode: 0o644 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
  return { hostname: names.hostname, files };
}

/** Where a container mounts something of its own there, it has that. */
export function networkMounts(container: Container, { files }: NetworkFiles): ContainerMount[] {
  const taken = new Set((container.volumeMounts ?? []).map(({ mountPath }) => mountPath.replace(/\/+$/, "")));
  return [...files]
    .filter(([mountPath]) => !taken.has(mountPath))
    .map(([mountPath, source]) => ({ volume: "", source, mountPath, readOnly: false }));
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
