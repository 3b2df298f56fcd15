import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/clock.ts";
import type { RuntimeHarness } from "../../../src/runtimes/conformanceSession.ts";
import { writeAttemptRecord } from "../../../src/runtimes/process/attemptRecord.ts";
import { attemptPaths, makeAttemptDir } from "../../../src/runtimes/process/layout.ts";
import type { ManagerScope } from "../../../src/runtimes/systemd/dbus/address.ts";
import { createSystemdRuntime } from "../../../src/runtimes/systemd/runtime.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";

export interface SystemdHarness extends RuntimeHarness {
  base: string;
  stateDir: string;
}

export async function systemdHarness(scope: ManagerScope, env: NodeJS.ProcessEnv): Promise<SystemdHarness> {
  const base = mkdtempSync(join(tmpdir(), "hostlet-units-"));
  const stateDir = join(base, "state");
  return {
    ...{ base, stateDir },
    createRuntime: () =>
      createSystemdRuntime({
        ...{ scope, env, stateDir, clock: systemClock, log: silentLogger },
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
