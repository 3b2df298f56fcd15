import { chownSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { Clock } from "../clock.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import type { ObjectSource } from "../kube/objectSource.ts";
import type { Pod } from "../kube/types.ts";
import type { RuntimeFeature } from "../runtimes/contract.ts";
import type { PreparedPod, Preparer } from "./deps.ts";
import type { DeviceLedger } from "./devices/ledger.ts";
import { hostletVariables } from "./env/hostletVariables.ts";
import { environmentOf, inheritedEnv } from "./env/inherit.ts";
import { resolveEnv } from "./env/resolveEnv.ts";
import type { Allocatable } from "./env/resourceField.ts";
import { apiServerService, serviceVariables } from "./env/serviceLinks.ts";
import { imageCommand } from "./image/imageCommand.ts";
import { resolveCommand } from "./image/resolveCommand.ts";
import { resolveWorkingDir } from "./image/workingDir.ts";
import { isolationOf } from "./isolation.ts";
import { type PodNetwork, podAddress } from "./network/podNetwork.ts";
import { type NetworkFiles, networkMounts, writeNetworkFiles } from "./network/podNetworkFiles.ts";
import type { PodPaths } from "./podFiles.ts";
import { containerResources, qosOf } from "./resources.ts";
import { type AgentRights, readAgentRights } from "./security/agentRights.ts";
import { type FindUser, findHostUser } from "./security/hostUsers.ts";
import { checkReachable, openPodDirectory, type PodAccess, podAccess } from "./security/podAccess.ts";
import { checkNonRoot, demandedSecurity, type ResolvedSecurity, resolveSecurity } from "./security/resolve.ts";
import { volumeReferences } from "./volumes/kinds.ts";
import { memoryMounts } from "./volumes/memoryVolume.ts";
import { toPublicPath } from "./volumes/paths.ts";
import { type PodVolumes, setUpVolumes } from "./volumes/podVolumes.ts";

export interface PreparerOptions {
  config: NodeConfig;
  objects: ObjectSource;
  clock: Clock;
  hostIP: string;
  /** @default pods share the host's */
  network?: PodNetwork;
  /** What the node has for pods, for resourceFieldRef. */
  allocatable: Allocatable;
  /** Who has the node's devices. @default it gives none out */
  devices?: DeviceLedger;
  /** What this agent may. @default asks the kernel */
  rights?: AgentRights;
  /** Of the container runtime, for a pod. @default none */
  features?: (pod: Pod) => ReadonlySet<RuntimeFeature>;
  /** @default the host's name services */
  findUser?: FindUser;
}

interface PreparedVolumes extends PreparedPod {
  volumes: PodVolumes;
  /** Of a pod that may have mounts of its own. */
  network?: NetworkFiles;
  networkNamespace?: string;
  /** By the container's name. */
  securities: ReadonlyMap<string, ResolvedSecurity>;
}

/** Volumes, environment and command of the pods of this node. */
export function createPreparer(options: PreparerOptions): Preparer<PreparedVolumes> {
  const { config, objects, clock, hostIP, allocatable, features = () => new Set(), findUser = findHostUser } = options;
  const rights = options.rights ?? readAgentRights();
  const node = { name: config.nodeName, labels: { "kubernetes.io/hostname": config.nodeName, ...config.nodeLabels } };
  const inherit = inheritedEnv(process.env, config.inheritEnv);
  const isSandboxed = (pod: Pod) => isolationOf(pod, config.isolation) === "sandbox";
  const addressesOf = (pod: Pod) => ({ hostIPs: [hostIP], podIPs: [podAddress(pod, hostIP, options.network)] });

  /** The API server always, the Services of its namespace unless the pod wants none. */
  async function links(pod: Pod, signal: AbortSignal): Promise<Record<string, string>> {
    const wanted = pod.spec?.enableServiceLinks !== false;
    const services = wanted ? await objects.services?.(pod.metadata?.namespace ?? "default", signal) : undefined;
    const own = objects.server === undefined ? [] : [apiServerService(objects.server)];
    return serviceVariables([
      ...(services ?? []).filter(({ name }) => own.length === 0 || name !== "kubernetes"),
      ...own,
    ]);
  }

  async function podSecurity(pod: Pod, access: PodAccess, signal: AbortSignal) {
    const securities = new Map<string, ResolvedSecurity>();
    for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
      const groups = access.groupsOf(container);
      const resolved = features(pod).has("users")
        ? { security: demandedSecurity(pod, container, groups) }
        : await resolveSecurity(pod, container, rights, groups, findUser, signal);
      securities.set(container.name, resolved);
    }
    return securities;
  }

  return {
    async pod(pod, paths, signal) {
      const access = podAccess(pod, rights);
      const securities = await podSecurity(pod, access, signal);
      openPodDirectory(paths, access);
      for (const [name, { user }] of securities) if (user) giveTo(user, paths, name);
      const { dir } = paths;
      const mayMount = process.geteuid?.() === 0;
      // In a root of its own only the pod's own containers come to its files, whoever they run as.
      const exactModes = isSandboxed(pod) || features(pod).has("users");
      const volumes = await setUpVolumes({
        ...{ pod, podDir: dir, objects, allocatable, node, access, mayMount, exactModes, clock, signal },
      });
      const networkNamespace = pod.spec?.hostNetwork ? undefined : await options.network?.setUp(pod);
      const dns = { servers: config.clusterDNS, domain: config.clusterDomain };
      const mayBeReal =
        isSandboxed(pod) || config.pullImages || config.images.some(({ rootfs }) => rootfs !== undefined);
      const network = mayBeReal ? writeNetworkFiles(pod, dir, addressesOf(pod).podIPs, dns) : undefined;
      return {
        volumes,
        ...(network && { network }),
        ...(networkNamespace !== undefined && { networkNamespace }),
        securities,
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

    async container(pod, container, prepared, { dir, publicDir: publicPlace }, signal, image) {
      const { volumes, network, networkNamespace, securities } = prepared;
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
      checkNonRoot(pod, container, ownRoot ? (image.user ?? "0") : String(rights.uid));
      const { security, user } = securities.get(container.name) ?? {};
      const asked = containerResources(container);
      const resources = features(pod).has("limits") ? { ...asked, qos: qosOf(pod) } : asked;
      const limits = { ...(security && { security }), ...(resources && { resources }) };
      const extra = hostletVariables({
        podDir: publicDir,
        containerDir,
        namespace,
        podName,
        podUID,
        container: container.name,
        volumes: new Map(mounted),
      });
      const told = options.devices?.environment(podUID, container.name) ?? { given: {}, none: {} };
      const declared = await resolveEnv({
        pod,
        container,
        objects,
        addresses: addressesOf(pod),
        allocatable,
        inherit: ownRoot ? {} : user ? environmentOf(user, inherit, containerDir) : inherit,
        extra: { ...(await links(pod, signal)), ...(ownRoot ? {} : extra), ...told.none, ...told.given },
        compatHome: config.compat ? homedir() : undefined,
        signal,
      });
      // A number in a manifest may be another container's device here: what was given counts.
      const resolved = { ...declared, env: { ...declared.env, ...told.given } };
      const { variables, warnings } = resolved;
      const own = await volumes.mountsFor(container, variables);
      const ofNetwork = realMounts && network ? network : undefined;
      const mounts = realMounts
        ? [...(ofNetwork ? networkMounts(container, ofNetwork) : []), ...memoryMounts(pod, own)]
        : own;
      const sandbox = {
        ...(realMounts && { isolation: "sandbox" as const }),
        ...(ofNetwork && { hostname: ofNetwork.hostname }),
        ...(networkNamespace !== undefined && { networkNamespace }),
      };
      if (image && ownRoot) {
        return { ...imageCommand(container, image, variables, resolved.env), ...sandbox, mounts, ...limits, warnings };
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
        ...limits,
        ...(command.message !== undefined && { note: command.message }),
        warnings,
      };
    },
  };
}

/** The container's own directory is its user's, who must be able to come there. */
function giveTo(user: NonNullable<ResolvedSecurity["user"]>, { dir, publicDir }: PodPaths, container: string): void {
  checkReachable([dir, dirname(publicDir)], user);
  chownSync(join(dir, "containers", container), user.uid, user.gid);
}
