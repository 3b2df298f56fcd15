/** What is read of the host. Names of /dev without the directory. */
export interface DeviceReadings {
  /** Of /dev. */
  devices: readonly string[];
  /** Of /dev/dri. */
  dri: readonly string[];
  /** What `nvidia-smi -L` prints; undefined: it is not there, or has failed. */
  nvidiaSmi?: string | undefined;
  /** The agent's: a batch job's share of the host's GPUs is told by the same variables. */
  env: Readonly<Record<string, string | undefined>>;
}

/** Ids of devices, by the resource that they are of. */
export type NodeDevices = ReadonlyMap<string, readonly string[]>;

export const nvidia = "nvidia.com/gpu";
export const amd = "amd.com/gpu";

/** The GPUs that this agent may give out. What the agent's own environment hides from it is not there. */
export function findDevices(readings: DeviceReadings): NodeDevices {
  const { env } = readings;
  const found = new Map<string, string[]>();
  const ofNvidia = named(env.CUDA_VISIBLE_DEVICES) ?? nvidiaDevices(readings);
  const ofAmd = named(env.ROCR_VISIBLE_DEVICES ?? env.HIP_VISIBLE_DEVICES) ?? amdDevices(readings);
  if (ofNvidia.length > 0) found.set(nvidia, ofNvidia);
  if (ofAmd.length > 0) found.set(amd, ofAmd);
  return found;
}

/** CUDA takes what stands before the first that is no device; Slurm writes NoDevFiles for none at all. */
function named(value: string | undefined): string[] | undefined {
  if (value === undefined) return undefined;
  const ids = value.split(",").map((id) => id.trim());
  const end = ids.findIndex((id) => !/^(\d+|(GPU|MIG)-[\w/-]+)$/.test(id));
  return [...new Set(end < 0 ? ids : ids.slice(0, end))];
}

/** UUIDs where they can be had: CUDA numbers its devices by speed, not as /dev does. */
function nvidiaDevices({ devices, nvidiaSmi }: DeviceReadings): string[] {
  const files = devices.flatMap((name) => /^nvidia(\d+)$/.exec(name)?.[1] ?? []);
  if (files.length === 0) return [];
  if (nvidiaSmi?.startsWith("GPU ")) return wholeGpus(nvidiaSmi);
  return files.sort((a, b) => Number(a) - Number(b));
}

/** A GPU that is split by MIG is not given out: whole it can't be used, and its parts are other resources. */
function wholeGpus(listing: string): string[] {
  const lines = listing.split("\n");
  return lines.flatMap((line, index) => {
    const uuid = /^GPU \d+:.*\(UUID: (GPU-[\w-]+)\)\s*$/.exec(line)?.[1];
    return uuid === undefined || /^\s+MIG /.test(lines[index + 1] ?? "") ? [] : [uuid];
  });
}

/** ROCm numbers the render nodes in their order. */
function amdDevices({ devices, dri }: DeviceReadings): string[] {
  if (!devices.includes("kfd")) return [];
  return dri.filter((name) => /^renderD\d+$/.test(name)).map((_, index) => String(index));
}
