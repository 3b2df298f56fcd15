import { posix } from "node:path";
import type { ContainerMount, ContainerSpec } from "../contract.ts";
import type { ManagerScope } from "./dbus/address.ts";
import type { DBusValue } from "./dbus/wire.ts";
import { podSlice } from "./unitName.ts";

/** What a transient unit is made of: name, and value with its type. */
export type UnitProperty = [string, { signature: string; value: DBusValue }];

export interface UnitRequest {
  spec: ContainerSpec;
  scope: ManagerScope;
  /** The shim and its arguments. */
  command: { file: string; args: readonly string[] };
  /** Directories that the shim writes to, whatever else is read-only; it renames within them. */
  writable: readonly string[];
}

/** MS_REC: what is mounted below comes along. */
const recursive = 16384n;

/**
 * The unit of one container. Its main process is the shim, which writes down how the container ended before it ends itself: the
 * unit's own result is needed for nothing. No environment stands in it, as every user of the host can read a unit's properties.
 */
export function unitProperties({ spec, scope, command, writable }: UnitRequest): UnitProperty[] {
  const { id, namespace, podName } = spec;
  return [
    text("Description", `container ${id.container} of pod ${namespace}/${podName}`),
    text("Slice", podSlice(id.podUID)),
    // Ready once the start is claimed and the container runs, or could not be started.
    text("Type", "notify"),
    text("NotifyAccess", "main"),
    // Without expansion of $ in it; a % means nothing in what comes over D-Bus.
    [
      "ExecStartEx",
      { signature: "a(sasas)", value: [[command.file, [command.file, ...command.args], ["no-env-expand"]]] },
    ],
    // An order to stop from elsewhere reaches the container's own processes; the shim waits for them.
    text("KillMode", "control-group"),
    ["TimeoutStopUSec", { signature: "t", value: 30_000_000n }],
    // The shim sees which process was killed, and whether that was the container's end.
    text("OOMPolicy", "continue"),
    text("StandardInput", "null"),
    ["Delegate", { signature: "b", value: false }],
    ...limits(spec),
    ...(scope === "system" ? fileSystem(spec, writable) : []),
  ];
}

function limits({ resources = {} }: ContainerSpec): UnitProperty[] {
  const { cpuRequestMillis, cpuLimitMillis, memoryRequestBytes, memoryLimitBytes } = resources;
  const weightOf = cpuRequestMillis ?? cpuLimitMillis;
  const properties: UnitProperty[] = [];
  if (weightOf !== undefined) properties.push(number("CPUWeight", cpuWeight(weightOf)));
  if (cpuLimitMillis !== undefined) properties.push(number("CPUQuotaPerSecUSec", Math.max(1, cpuLimitMillis) * 1000));
  if (memoryLimitBytes !== undefined) {
    properties.push(number("MemoryMax", memoryLimitBytes), number("MemorySwapMax", 0));
    const high = memoryHigh(memoryRequestBytes, memoryLimitBytes);
    if (high !== undefined) properties.push(number("MemoryHigh", high));
  }
  return properties;
}

/** As the kubelet turns shares of cgroup v1 (1024 for a CPU) into a weight from 1 to 10000. */
export function cpuWeight(millis: number): number {
  const shares = Math.min(262_144, Math.max(2, Math.floor((millis * 1024) / 1000)));
  return Math.floor(1 + ((shares - 2) * 9999) / 262_142);
}

/** As the kubelet's memory QoS has it: nine tenths of the way from the request to the limit, in whole pages. */
export function memoryHigh(request: number | undefined, limit: number): number | undefined {
  if (request === undefined || request >= limit) return undefined;
  const page = 4096;
  return Math.floor((request + 0.9 * (limit - request)) / page) * page;
}

function fileSystem({ mounts, security, dir }: ContainerSpec, writable: readonly string[]): UnitProperty[] {
  const binds = (readOnly: boolean): DBusValue[] =>
    mounts
      .filter((mount) => mount.readOnly === readOnly)
      .map((mount) => [mount.source, targetOf(mount), false, recursive]);
  const [writing, reading] = [binds(false), binds(true)];
  const properties: UnitProperty[] = [];
  if (writing.length > 0) properties.push(["BindPaths", { signature: "a(ssbt)", value: writing }]);
  if (reading.length > 0) properties.push(["BindReadOnlyPaths", { signature: "a(ssbt)", value: reading }]);
  if (security?.readOnlyRootFilesystem) {
    const own = mounts.filter(({ readOnly }) => !readOnly).map(targetOf);
    properties.push(text("ProtectSystem", "strict"));
    properties.push(["ReadWritePaths", { signature: "as", value: [dir, ...writable, ...own] }]);
  }
  return properties;
}

/** As a kubelet has it, a relative mountPath is one from the root. */
function targetOf({ mountPath }: ContainerMount): string {
  return posix.resolve("/", mountPath);
}

function text(name: string, value: string): UnitProperty {
  return [name, { signature: "s", value }];
}

function number(name: string, value: number): UnitProperty {
  return [name, { signature: "t", value: BigInt(Math.floor(value)) }];
}
