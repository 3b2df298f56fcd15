import { posix } from "node:path";
import type { ContainerSpec } from "../contract.ts";
import { labelsOf } from "./names.ts";

export interface CreateOptions {
  /** Which agent's the container is. */
  node: string;
  /** `host`, or `container:<id>` of the pod's pause container. */
  network: string;
  /** Docker's `json-file`, which Podman takes for its own. */
  logs: { maxBytes: number; maxFiles: number };
}

/** What the engine is asked for: the container's spec in its words. Nothing in it is interpreted by a shell. */
export function createBody(spec: ContainerSpec, options: CreateOptions): Record<string, unknown> {
  const { argv, env, security = {}, image } = spec;
  const shared = options.network.startsWith("container:");
  return {
    Image: image?.id,
    // All of the command stands here: an image's own would be appended to an entrypoint that has none.
    Entrypoint: argv,
    Cmd: [],
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    Labels: labelsOf(spec, options.node),
    // A container without one would be named after the engine's id.
    ...(!shared && options.network !== "host" && { Hostname: spec.podName.slice(0, 63).replace(/[-.]+$/, "") }),
    ...(spec.workingDir !== undefined && { WorkingDir: spec.workingDir }),
    ...(security.uid !== undefined && { User: userOf(security.uid, security.gid) }),
    Tty: spec.tty,
    OpenStdin: spec.stdin,
    StdinOnce: spec.stdinOnce ?? false,
    AttachStdin: spec.stdin,
    AttachStdout: false,
    AttachStderr: false,
    // Probes are the core's.
    Healthcheck: { Test: ["NONE"] },
    HostConfig: hostConfig(spec, options, shared),
  };
}

function hostConfig(spec: ContainerSpec, options: CreateOptions, shared: boolean): Record<string, unknown> {
  const { security = {}, mounts } = spec;
  const { maxBytes, maxFiles } = options.logs;
  return {
    NetworkMode: options.network,
    ...(shared && { IpcMode: options.network }),
    RestartPolicy: { Name: "no" },
    AutoRemove: false,
    LogConfig: {
      Type: "json-file",
      Config: { ...(maxBytes > 0 && { "max-size": String(maxBytes), "max-file": String(maxFiles) }) },
    },
    Mounts: mounts.map(({ source, mountPath, readOnly }) => ({
      Type: "bind",
      Source: source,
      // As a kubelet has it, a relative mountPath is one from the root.
      Target: posix.resolve("/", mountPath),
      ReadOnly: readOnly,
      BindOptions: { Propagation: "rprivate" },
    })),
    ...limits(spec),
    Privileged: security.privileged ?? false,
    ReadonlyRootfs: security.readOnlyRootFilesystem ?? false,
    ...(security.groups && { GroupAdd: security.groups.map(String) }),
    ...(security.capabilities && { CapAdd: security.capabilities.add, CapDrop: security.capabilities.drop }),
    ...(security.noNewPrivileges && { SecurityOpt: ["no-new-privileges"] }),
  };
}

function userOf(uid: number, gid: number | undefined): string {
  return gid === undefined ? String(uid) : `${uid}:${gid}`;
}

const cpuPeriod = 100_000;
/** Less the kernel does not take. */
const [fewestShares, shortestQuota] = [2, 1000];

/** As the kubelet makes cgroups of requests and limits; no swap beside a memory limit. */
function limits({ resources = {} }: ContainerSpec): Record<string, unknown> {
  const { cpuRequestMillis, cpuLimitMillis, memoryLimitBytes } = resources;
  const sharesOf = cpuRequestMillis ?? cpuLimitMillis;
  return {
    ...(sharesOf !== undefined && { CpuShares: Math.max(fewestShares, Math.floor((sharesOf * 1024) / 1000)) }),
    ...(cpuLimitMillis !== undefined && {
      CpuPeriod: cpuPeriod,
      CpuQuota: Math.max(shortestQuota, Math.floor((cpuLimitMillis * cpuPeriod) / 1000)),
    }),
    ...(memoryLimitBytes !== undefined && { Memory: memoryLimitBytes, MemorySwap: memoryLimitBytes }),
  };
}
