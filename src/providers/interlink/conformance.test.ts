import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../clock.ts";
import { startApiServer } from "../../interlink/api/server.ts";
import type { HopServer } from "../../interlink/http/server.ts";
import { startPlugin } from "../../interlink/plugin/server.ts";
import { PodFiles } from "../../kubelet/podFiles.ts";
import { plainLauncher } from "../../runtimes/process/launchers/plain.ts";
import { createProcessRuntime } from "../../runtimes/process/runtime.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { providerConformance } from "../conformance.ts";
import type { ProviderHarness } from "../conformanceSession.ts";
import type { Provider, ProviderContext } from "../contract.ts";
import { createDummyProvider } from "../dummy/index.ts";
import { LocalProvider } from "../local/index.ts";
import { FakePreparer } from "../local/testing/fakeNode.ts";
import { InterlinkProvider } from "./index.ts";

type FarEnd = (context: ProviderContext, root: string) => Provider;

/** @param through an API server between node and plugin, too */
async function chain(farEnd: FarEnd, through = false): Promise<ProviderHarness> {
  const root = mkdtempSync(join(tmpdir(), "hostlet-interlink-"));
  const socket = join(root, "s", "plugin.sock");
  let opened: InterlinkProvider | undefined;
  const plugin: HopServer = await startPlugin({
    address: { socket },
    insecure: false,
    provider: (context) => farEnd(context, root),
    stateDir: join(root, "plugin"),
    clock: systemClock,
    log: silentLogger,
  });
  const between = join(root, "s", "api.sock");
  const api = through
    ? await startApiServer({
        address: { socket: between },
        insecure: false,
        config: { sidecar: { url: `unix:${socket}` }, statusMaxAgeMs: 30_000 },
        clock: systemClock,
        log: silentLogger,
      })
    : undefined;
  const open = (context: ProviderContext) => {
    opened = new InterlinkProvider({
      context,
      endpoint: { url: `unix:${through ? between : socket}` },
      stateDir: join(root, "node"),
      hostIP: "127.0.0.1",
      allocatable: { cpu: "1", memory: "1Gi" },
      statusIntervalMs: 20,
      pingIntervalMs: 1000,
    });
    return opened;
  };
  return {
    open,
    async dispose() {
      const left = open({
        objects: { get: async () => undefined, watch: () => {} },
        events: { emit: () => {} },
        clock: systemClock,
        log: silentLogger,
        report: ({ gone }) => gone && left.list().length === 0 && settled(),
      });
      let settled = () => {};
      const pods = await left.recover();
      await new Promise<void>((resolve) => {
        settled = resolve;
        for (const pod of pods) left.delete(pod, 0);
        if (pods.length === 0) resolve();
      });
      await left.stop();
      await api?.stop();
      await plugin.stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

providerConformance("interlink over a plugin of dummies", () =>
  chain((context, root) =>
    createDummyProvider({ context, stateDir: join(root, "far"), podsDir: join(root, "pods"), hostIP: "127.0.0.1" }),
  ),
);

providerConformance("interlink over an API server and a plugin of processes", () =>
  chain((context, root) => {
    const [stateDir, podsDir] = [join(root, "far"), join(root, "pods")];
    return new LocalProvider({
      context,
      runtime: createProcessRuntime({
        stateDir,
        launcher: plainLauncher,
        log: silentLogger,
        clock: systemClock,
        logLimits: { maxBytes: 1_000_000, maxFiles: 2 },
      }),
      files: new PodFiles({ stateDir, podsDir, layout: "namespace" }),
      preparer: new FakePreparer(),
      hostIP: "127.0.0.1",
    });
  }, true),
);
