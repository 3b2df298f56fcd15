import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { systemClock } from "../../../src/clock.ts";
import type { RuntimeHarness } from "../../../src/runtimes/conformanceSession.ts";
import type { ContainerID } from "../../../src/runtimes/contract.ts";
import { createBody } from "../../../src/runtimes/docker/createBody.ts";
import { hasStatus } from "../../../src/runtimes/docker/engineError.ts";
import { engineName, labels } from "../../../src/runtimes/docker/names.ts";
import { createDockerRuntime } from "../../../src/runtimes/docker/runtime.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import type { TestEngine } from "./engines.ts";

const logLimits = { maxBytes: 10_000_000, maxFiles: 5 };

export interface EngineHarness extends RuntimeHarness {
  /** By which an agent knows its containers. */
  node: string;
}

/** An agent's state on an engine that outlives it. The container's directory is mounted at its own path, and its working directory. */
export async function engineHarness(engine: TestEngine): Promise<EngineHarness> {
  const base = mkdtempSync(join(tmpdir(), "hostlet-engine-"));
  const node = basename(base);
  const { client, socket, imageID } = engine;
  const dirOf = (id: ContainerID) => join(base, "pods", id.podUID, "containers", id.container);
  return {
    node,
    createRuntime: () => createDockerRuntime({ socket, node, clock: systemClock, log: silentLogger, logLimits }),
    spec(about) {
      const id = about.id ?? { podUID: "uid", container: "c", attempt: 0 };
      const dir = dirOf(id);
      mkdirSync(dir, { recursive: true });
      const mounts = [{ volume: "own", source: dir, mountPath: dir, readOnly: false }, ...(about.mounts ?? [])];
      const names = { namespace: "default", podName: "p", restartCount: 0, image: { id: imageID } };
      return { id, ...names, env: {}, dir, workingDir: dir, stdin: false, tty: false, ...about, mounts };
    },
    addedEnv: ["PATH", "HOME", "HOSTNAME", "TERM", "container"],
    hostPid: (id, pid) => {
      const found = readdirSync("/proc").filter(
        (entry) => /^\d+$/.test(entry) && isPidInContainer(entry, pid, dirOf(id)),
      );
      return Number(found[0] ?? Number.NaN);
    },
    async leaveUndecidedStart(spec) {
      const body = createBody(spec, { node, network: "host", logs: logLimits });
      await client.json({ method: "POST", path: "/containers/create", query: { name: engineName(spec.id) }, body });
    },
    async dispose() {
      const filters = JSON.stringify({ label: [`${labels.node}=${node}`] });
      const query = { all: true, filters };
      const left = await client.json<{ Id: string }[]>({ method: "GET", path: "/containers/json", query });
      for (const { Id } of left) {
        const call = { method: "DELETE", path: `/containers/${Id}`, query: { force: true, v: true } } as const;
        // One whose removal was under way is gone by now.
        await client.json(call).catch((error) => {
          if (!hasStatus(error, 404)) throw error;
        });
      }
      rmSync(base, { recursive: true });
    },
  };
}

/** Whose container it is the directory tells that is mounted in it. */
function isPidInContainer(hostPid: string, pid: number, dir: string): boolean {
  try {
    const inside = /^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${hostPid}/status`, "utf8"))?.[1];
    return Number(inside) === pid && readFileSync(`/proc/${hostPid}/mountinfo`, "utf8").includes(` ${dir} `);
  } catch {
    return false;
  }
}
