import { homedir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import type { ObjectSource } from "../kube/objectSource.ts";
import type { Pod } from "../kube/types.ts";
import type { PreparedPod, Preparer } from "./deps.ts";
import { hostletVariables } from "./env/hostletVariables.ts";
import { inheritedEnv } from "./env/inherit.ts";
import { resolveEnv } from "./env/resolveEnv.ts";
import type { Allocatable } from "./env/resourceField.ts";
import { imageCommand } from "./image/imageCommand.ts";
import { resolveCommand } from "./image/resolveCommand.ts";
import { resolveWorkingDir } from "./image/workingDir.ts";
import { isolationOf } from "./isolation.ts";
import { type NetworkFiles, networkMounts, writeNetworkFiles } from "./network/podNetworkFiles.ts";
import { volumeReferences } from "./volumes/kinds.ts";
import { toPublicPath } from "./volumes/paths.ts";
import { type PodVolumes, setUpVolumes } from "./volumes/podVolumes.ts";

export interface PreparerOptions {
  config: NodeConfig;
  objects: ObjectSource;
  clock: Clock;
  hostIP: string;
  /** What the node has for pods, for resourceFieldRef. */
  allocatable: Allocatable;
}

interface PreparedVolumes extends PreparedPod {
  volumes: PodVolumes;
  /** Of a pod that may have mounts of its own. */
  network?: NetworkFiles;
}

/** Volumes, environment and command of the pods of this node. */
export function createPreparer(options: PreparerOptions): Preparer<PreparedVolumes> {
  const { config, objects, clock, hostIP, allocatable } = options;
  const inherit = inheritedEnv(process.env, config.inheritEnv);
  const isSandboxed = (pod: Pod) => isolationOf(pod, config.isolation) === "sandbox";
  const addresses = { hostIPs: [hostIP], podIPs: [hostIP] };

  return {
    async pod(pod, { dir }, signal) {
      const volumes = await setUpVolumes({ pod, podDir: dir, objects, allocatable, clock, signal });
      const dns = { servers: config.clusterDNS, domain: config.clusterDomain };
      const mayBeReal = isSandboxed(pod) || config.images.some(({ rootfs }) => rootfs !== undefined);
      const network = mayBeReal ? writeNetworkFiles(pod, dir, addresses.podIPs, dns) : undefined;
      return {
        volumes,
        ...(network && { network }),
        refs: volumeReferences(pod),
        warnings: volumes.warnings.map(({ message }) => message),
        get refreshAt() {
          return volumes.refreshAt;
        },
        async refresh(current: Pod, refreshSignal: AbortSignal) {
          const { warnings } = await volumes.refresh({ pod: current }, refreshSignal);
          return warnings.map(({ message }) => message);
        },
      };
    },

    async container(pod, container, { volumes, network }, { dir, publicDir: publicPlace }, signal, image) {
      const realMounts = isSandboxed(pod) || image?.rootfs !== undefined;
      // In a sandbox nothing but the container's own directory is in its place.
      const publicDir = realMounts ? dir : publicPlace;
      // With a root filesystem of its own a container has nothing of the host's: not its environment, not its paths.
      const ownRoot = image !== undefined && !image.onHost;
      const { namespace = "", name: podName = "", uid: podUID = "" } = pod.metadata ?? {};
      const publicPath = (path: string) => toPublicPath(path, dir, publicDir);
      const mounted = (container.volumeMounts ?? []).flatMap(({ name, mountPath }) => {
        const source = volumes.sources.get(name);
        return source ? [[name, realMounts ? mountPath : publicPath(source.path)] as const] : [];
      });
      const containerDir = join(publicDir, "containers", container.name);
      const extra = hostletVariables({
        podDir: publicDir,
        containerDir,
        namespace,
        podName,
        podUID,
        container: container.name,
        volumes: new Map(mounted),
      });
      const resolved = await resolveEnv({
        pod,
        container,
        objects,
        addresses,
        allocatable,
        inherit: ownRoot ? {} : inherit,
        extra: ownRoot ? {} : extra,
        compatHome: config.compat ? homedir() : undefined,
        signal,
      });
      const { variables, warnings } = resolved;
      const own = await volumes.mountsFor(container, variables);
      const ofNetwork = realMounts && network ? network : undefined;
      const mounts = ofNetwork ? [...networkMounts(container, ofNetwork), ...own] : own;
      const sandbox = {
        ...(realMounts && { isolation: "sandbox" as const }),
        ...(ofNetwork && { hostname: ofNetwork.hostname }),
      };
      if (image && ownRoot) {
        return { ...imageCommand(container, image, variables, resolved.env), ...sandbox, mounts, warnings };
      }
      const command = await resolveCommand({
        container,
        mounts,
        volumes: volumes.sources,
        variables,
        env: resolved.env,
        imageTable: config.images,
        compat: config.compat,
        podDir: dir,
        containerDir,
        publicDir,
        realMounts,
      });
      const wanted = container.workingDir || command.workingDir;
      const workingDir = realMounts ? wanted : await resolveWorkingDir(wanted, mounts, containerDir);
      return {
        argv: command.argv,
        env: command.env,
        ...(workingDir && { workingDir }),
        ...sandbox,
        mounts,
        ...(command.message !== undefined && { note: command.message }),
        warnings,
      };
    },
  };
}
