import type { Taint } from "../kube/types.ts";
import type { LogLevel } from "../telemetry/log.ts";

/**
 * What a node is told: flags before environment before file before these defaults. docs/reference/config.md is made
 * from the comments here, so they are written for the reader of that page.
 */
export interface NodeConfig {
  /**
   * Name of the Node, a DNS name.
   * @default `JOBNAME` of the environment where it begins with `vk-`, else the host's name in lower case
   */
  nodeName: string;
  /**
   * What runs whole pods. `local`: this host, by way of `runtime`. `interlink`: an interLink API server or plugin, at
   * `interlinkUrl`. `dummy`: nothing; pods only look as if they ran. `slurm`: each pod is a batch job.
   * @default local
   */
  provider: "local" | "interlink" | "dummy" | "slurm";
  /**
   * What runs the containers of the provider `local`. `process`: plain processes. `systemd`: units of systemd.
   * `docker`: Docker, or Podman by the same API.
   * @default process
   */
  runtime: "process" | "systemd" | "docker";
  /**
   * Whose units they are, for the runtime `systemd`: `system` or `user`.
   * @default system for root, user for everybody else
   */
  systemdManager: "system" | "user" | undefined;
  /**
   * Socket of the container engine, `unix:///path`, for the runtime `docker`.
   * @default that of DOCKER_HOST, else the first of Docker's and Podman's usual ones that is there
   */
  dockerHost: string | undefined;
  /**
   * What containers see of this host. `none`: everything; mountPaths lie under the container's directory. `sandbox`: a root
   * filesystem, mounts and processes of their own, every mountPath real; by root, or by an ordinary user where the host gives user namespaces. A pod of
   * a node with `none` asks for it with the RuntimeClass or the annotation `hostlet.dev/isolation`: `sandbox`.
   * @default none
   */
  isolation: "none" | "sandbox";
  /**
   * Where the provider `interlink` sends its pods: `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`.
   * @default none; needed with the provider `interlink`
   */
  interlinkUrl: string | undefined;
  /**
   * A file with the bearer token for `interlinkUrl`, read again for each request.
   * @default none
   */
  interlinkTokenFile: string | undefined;
  /**
   * The CA that `interlinkUrl` is verified with, PEM.
   * @default the CAs that Node comes with
   */
  interlinkCaFile: string | undefined;
  /**
   * This node's certificate for `interlinkUrl`, PEM; with `interlinkKeyFile`.
   * @default none
   */
  interlinkCertFile: string | undefined;
  /**
   * Its key, PEM.
   * @default none
   */
  interlinkKeyFile: string | undefined;
  /**
   * How often the far end is asked for the statuses of all pods, in one call; milliseconds, or in text a duration such as `5s`.
   * @default 5s
   */
  interlinkStatusInterval: number;
  /**
   * How often it is asked whether it is there; a node whose far end does not answer is not Ready. Milliseconds, or in text a duration.
   * @default 30s
   */
  interlinkPingInterval: number;
  /**
   * Where a pod's directories are found: `<podsDir>/<namespace>/<pod>`.
   * @default ~/.hostlet/pods
   */
  podsDir: string;
  /**
   * Where the node keeps what it must remember; on a local disk, for this user and this host alone.
   * @default ~/.hostlet/state; ~/.hostlet/run/ID and ~/.hostlet/up with `run` and `up`
   */
  stateDir: string;
  /**
   * `namespace`: `<podsDir>/<namespace>/<pod>`. `pod`: `<podsDir>/<pod>`, as virtual-kubelet-cmd has it.
   * @default namespace
   */
  pathLayout: "namespace" | "pod";
  /**
   * The habits of virtual-kubelet-cmd and vk-cmd: `~` and `$HOME` in values of `env` expand, and a one-element command
   * with white space that is no file is run by `bash -c`.
   * @default false
   */
  compat: boolean;
  /**
   * How many pods the node takes at a time.
   * @default 110
   */
  maxPods: number;
  /**
   * Bytes after which a container's log file is followed by the next one; a quantity such as `10Mi` in text. 0: never.
   * @default 10Mi
   */
  containerLogMaxSize: number;
  /**
   * How many log files of a container are kept; at least 2.
   * @default 5
   */
  containerLogMaxFiles: number;
  /**
   * Variables of the node's own environment that containers get too, where their pod doesn't set them. A `*` at the end
   * stands for any rest; `*` alone for all.
   * @default PATH, HOME, USER, LOGNAME, SHELL, LANG, LC_*, TZ, TMPDIR, MODULEPATH, MODULESHOME, LOADEDMODULES, LMOD_*, XDG_RUNTIME_DIR
   */
  inheritEnv: string[];
  /**
   * What to run for an `image`; the first entry that matches counts. `match` is the image's name, `*` at its end stands
   * for any rest; `entrypoint` and `command` are what a pod's `command` and `args` replace; `env`, `workingDir` and
   * `user` (`user[:group]`) are used where the pod sets none. `rootfs` is what its containers have for a root filesystem, in the sandbox: a directory, a tar
   * file of one, an OCI image layout (a directory or a tar file) or an archive of `docker save`; what those say of entrypoint and the like
   * counts where the entry says nothing.
   * @default none
   */
  images: ImageEntry[];
  /**
   * Images that the table doesn't have are pulled from their registry and run in the sandbox. Without it they are what this host has by
   * the name of the container's command.
   * @default false
   */
  pullImages: boolean;
  /**
   * Registries (host, or host:port) that are spoken to without TLS.
   * @default none
   */
  insecureRegistries: string[];
  /**
   * Labels of the Node beside those that every node has.
   * @default none
   */
  nodeLabels: Record<string, string>;
  /**
   * Taints of the Node, `key=value:Effect` in text.
   * @default none
   */
  nodeTaints: Taint[];
  /**
   * Leaves out the taint that keeps pods away which don't tolerate a virtual node. `hostlet run` and `hostlet up` leave
   * it out in any case.
   * @default false
   */
  disableTaint: boolean;
  /**
   * Address of the node: its InternalIP, the hostIP and podIP of its pods.
   * @default the address of the host towards the API server; 127.0.0.1 with `run` and `up`
   */
  nodeIP: string | undefined;
  /**
   * Addresses for pods, such as `10.88.0.0/16`: each pod then has a network namespace, on a bridge of this host. With `isolation: sandbox`, as
   * root, where iproute2 is installed; pods with `hostNetwork` stay on the host's.
   * @default none: pods share the host's network and address
   */
  podCIDR: string | undefined;
  /**
   * Addresses of the cluster's DNS, for pods with mounts of their own.
   * @default none: those pods have the host's DNS
   */
  clusterDNS: string[];
  /**
   * The cluster's domain, in the names of pods that have a subdomain.
   * @default cluster.local
   */
  clusterDomain: string;
  /**
   * Port of the kubelet API; 0: any that is free.
   * @default 10250; 0 with `run` and `up`
   */
  kubeletPort: number;
  /**
   * Port of `/healthz` on 127.0.0.1, without TLS, which says `ok` and nothing else; 0: none. Taken by somebody else it is
   * done without.
   * @default 10248; 0 with `run` and `up`
   */
  healthzPort: number;
  /**
   * Directory of log files that the kubelet API's `/logs/` shows to whoever has the right `nodes/log`.
   * @default none
   */
  logDir: string | undefined;
  /**
   * CPUs that the node says it has, a quantity.
   * @default those of the host
   */
  cpu: string | undefined;
  /**
   * Memory that the node says it has, a quantity.
   * @default that of the host
   */
  memory: string | undefined;
  /**
   * Other resources that the node says it has, such as `nvidia.com/gpu=2`. GPUs are given to containers one by one; others
   * are only counted, unless `extendedResourceDevices` or `extendedResourceVariables` has them.
   * @default the GPUs that are found, with the provider local
   */
  extendedResources: Record<string, string>;
  /**
   * The devices of a resource by name, as its containers are told: `nvidia.com/gpu: [GPU-1f2e, GPU-3d4c]`. How many there are
   * is the node's capacity.
   * @default those found; numbers from 0 where the count is configured and not so many are found
   */
  extendedResourceDevices: Record<string, string[]>;
  /**
   * Variables that tell a container its devices, by resource; an empty list: none.
   * @default CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES for nvidia.com/gpu, ROCR_VISIBLE_DEVICES and HIP_VISIBLE_DEVICES for amd.com/gpu
   */
  extendedResourceVariables: Record<string, string[]>;
  /**
   * Where the provider `slurm` and its jobs exchange files: a directory that the compute nodes see under the same path.
   * @default ~/.hostlet/slurm
   */
  slurmDir: string;
  /**
   * Partition of the jobs, and of the node's capacity.
   * @default none: Slurm's default partition for jobs, all partitions for capacity
   */
  slurmPartition: string | undefined;
  /**
   * Options of `sbatch` for every job, such as `--account=a,--qos=normal`; those of a pod's annotations win.
   * @default none
   */
  slurmFlags: string[];
  /**
   * interLink's `SlurmConfig.yaml`, of which paths, flavors and command prefix count.
   * @default none
   */
  slurmConfig: string | undefined;
  /**
   * The flavor, of those in `slurmConfig`, for pods that name none.
   * @default its DefaultFlavor
   */
  slurmFlavor: string | undefined;
  /**
   * Options of `sbatch` for the pods of a priority class, such as `{ urgent: ["--qos=high"] }`.
   * @default none
   */
  slurmPriorityClasses: Record<string, string[]>;
  /**
   * How often Slurm is asked for the state of all jobs in one call; a duration. Slurm that does not answer is asked less often.
   * @default 10s
   */
  slurmPollInterval: number;
  /**
   * Memory that a job asks for beside what its containers get, for hostlet's core in the job; a quantity.
   * @default 128Mi
   */
  slurmMemoryOverhead: number;
  /**
   * Path of the Node.js binary on the compute nodes.
   * @default the one that runs this agent
   */
  slurmNodeBinary: string | undefined;
  /**
   * A manifest file, or a directory of them, whose pods run on this node whether or not there is an API server: static pods.
   * @default none
   */
  podManifestPath: string | undefined;
  /**
   * `spec.providerID` of the Node, where it is made by this agent.
   * @default none
   */
  providerID: string | undefined;
  /**
   * fatal, error, warn, info, debug, trace or silent.
   * @default info; warn with `run` and `up`
   */
  logLevel: LogLevel;
  /**
   * How often volumes are brought up to date and statuses checked where nothing else asks for it; milliseconds, or in
   * text a duration such as `1m`.
   * @default 1m
   */
  syncFrequency: number;
}

export interface ImageEntry {
  match: string;
  entrypoint?: string[];
  command?: string[];
  env?: Record<string, string>;
  workingDir?: string;
  user?: string;
  rootfs?: string;
}
