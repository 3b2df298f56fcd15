import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../clock.ts";
import { PodFiles } from "../../kubelet/podFiles.ts";
import type { ContainerRuntime } from "../../runtimes/contract.ts";
import { plainLauncher } from "../../runtimes/process/launchers/plain.ts";
import { createProcessRuntime } from "../../runtimes/process/runtime.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { providerConformance } from "../conformance.ts";
import type { ProviderHarness } from "../conformanceSession.ts";
import type { ProviderContext } from "../contract.ts";
import { LocalProvider } from "./index.ts";
import { FakePreparer } from "./testing/fakeNode.ts";
import { FakeHost, FakeRuntime } from "./testing/fakeRuntime.ts";

function harnessOf(runtimes: (stateDir: string) => () => ContainerRuntime): ProviderHarness {
  const root = mkdtempSync(join(tmpdir(), "hostlet-conform-"));
  const [stateDir, podsDir] = [join(root, "state"), join(root, "pods")];
  const nextRuntime = runtimes(stateDir);
  const open = (context: ProviderContext) =>
    new LocalProvider({
      context,
      runtime: nextRuntime(),
      files: new PodFiles({ stateDir, podsDir, layout: "namespace" }),
      preparer: new FakePreparer(),
      hostIP: "127.0.0.1",
    });
  return {
    open,
    async dispose() {
      // Another agent ends what is left: a Provider that only stops lets its pods run on.
      const left = new Set<string>();
      let settled = () => {};
      const provider = open({
        objects: { get: async () => undefined, watch: () => {} },
        events: { emit: () => {} },
        clock: systemClock,
        log: silentLogger,
        report: ({ pod, gone }) => {
          if (gone) left.delete(pod.uid);
          if (left.size === 0) settled();
        },
      });
      const pods = await provider.recover();
      for (const pod of pods) left.add(pod.metadata?.uid ?? "");
      await new Promise<void>((resolve) => {
        settled = resolve;
        for (const pod of pods) provider.delete(pod, 0);
        if (left.size === 0) resolve();
      });
      await provider.stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

const notRun = "the runtime in memory runs no commands; see below";
providerConformance(
  "local over a runtime in memory",
  async () =>
    harnessOf(() => {
      const host = new FakeHost(systemClock);
      return () => new FakeRuntime(host);
    }),
  {
    "exec tells output, input and exit code of a command": notRun,
    "exec works in a pod of an earlier agent": notRun,
  },
);

providerConformance("local over processes", async () =>
  harnessOf((stateDir) => () => {
    const logLimits = { maxBytes: 1_000_000, maxFiles: 2 };
    return createProcessRuntime({
      stateDir,
      launcher: plainLauncher,
      log: silentLogger,
      clock: systemClock,
      logLimits,
    });
  }),
);
