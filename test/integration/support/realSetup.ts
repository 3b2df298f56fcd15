import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { RealControlPlane } from "./realControlPlane.ts";

/**
 * One real control plane for all files of the e2e project: HOSTLET_CONTROL_PLANE=real:VERSION, by default the newest that
 * is tested. Its logs stay in node_modules/.cache/hostlet-e2e/VERSION until the next run.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const wanted = process.env.HOSTLET_CONTROL_PLANE ?? "real:1.34.2";
  const version = /^real:(\d+\.\d+\.\d+)$/.exec(wanted)?.[1];
  if (!version) throw new Error(`HOSTLET_CONTROL_PLANE is "${wanted}"; e2e needs real:VERSION, such as real:1.34.2`);
  const programs = await getPrograms(version);
  const plane = await RealControlPlane.start({ version, programs, keepLogs: logs(project, version) });
  const { keys, auditLog } = plane;
  project.provide("controlPlane", { version, keys, auditLog, programs });
  console.log(`e2e: Kubernetes ${version} at ${keys.url}; logs: ${logs(project, version)}`);
  return () => plane.stop();
}

const logs = (project: TestProject, version: string) =>
  join(project.config.root, "node_modules/.cache/hostlet-e2e", version);

/** Built where they are not there yet, which takes minutes. */
async function getPrograms(version: string): Promise<string> {
  const script = join(import.meta.dirname, "../../../scripts/control-plane/get.sh");
  const { stdout } = await promisify(execFile)(script, [version], { maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}
