import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../clock.ts";
import { silentLogger } from "../../telemetry/log.ts";
import type { RuntimeHarness } from "../conformanceSession.ts";
import { writeAttemptRecord } from "./attemptRecord.ts";
import type { Launcher } from "./launchers/contract.ts";
import { plainLauncher } from "./launchers/plain.ts";
import { attemptPaths, makeAttemptDir } from "./layout.ts";
import { createProcessRuntime } from "./runtime.ts";

export interface ProcessHarness extends RuntimeHarness {
  base: string;
  stateDir: string;
}

export interface HarnessOptions {
  clock?: Clock;
  /** @default plain */
  launcher?(dirs: { base: string; stateDir: string }): Launcher;
}

export async function makeHarness({ clock = systemClock, launcher }: HarnessOptions = {}): Promise<ProcessHarness> {
  const base = mkdtempSync(join(tmpdir(), "hostlet-process-"));
  // Longer than a socket path can be: what the shim listens on must be reached all the same.
  const stateDir = join(base, "a-state-directory-with-a-long-name".repeat(5));
  return {
    base,
    stateDir,
    createRuntime: () =>
      createProcessRuntime({
        stateDir,
        launcher: launcher?.({ base, stateDir }) ?? plainLauncher,
        log: silentLogger,
        clock,
        logLimits: { maxBytes: 10_000_000, maxFiles: 5 },
      }),
    spec(about) {
      const id = about.id ?? { podUID: "uid", container: "c", attempt: 0 };
      const dir = join(base, "pods", id.podUID, "containers", id.container);
      mkdirSync(dir, { recursive: true });
      const names = { namespace: "default", podName: "p", restartCount: 0 };
      return { id, ...names, env: {}, dir, mounts: [], stdin: false, tty: false, ...about };
    },
    addedEnv: ["HOSTLET_ATTEMPT"],
    async leaveUndecidedStart(spec) {
      const paths = attemptPaths(stateDir, spec.id);
      makeAttemptDir(paths);
      await writeAttemptRecord(paths, spec);
    },
    async dispose() {
      rmSync(base, { recursive: true });
    },
  };
}
