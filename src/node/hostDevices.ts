import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { promisify } from "node:util";
import type { DeviceReadings } from "../kubelet/devices/find.ts";

const run = promisify(execFile);
/** A driver that hangs must not keep the agent from starting. */
const deadlineMs = 10_000;

/** What the host says of its GPUs. */
export async function readDevices(signal: AbortSignal): Promise<DeviceReadings> {
  const devices = names("/dev");
  const readings = { devices, dri: names("/dev/dri"), env: process.env };
  if (!devices.some((name) => /^nvidia\d+$/.test(name))) return readings;
  try {
    const { stdout } = await run("nvidia-smi", ["-L"], { timeout: deadlineMs, killSignal: "SIGKILL", signal });
    return { ...readings, nvidiaSmi: stdout };
  } catch {
    return readings; // Without it the devices have numbers.
  }
}

function names(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
