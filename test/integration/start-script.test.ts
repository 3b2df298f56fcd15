import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { ApiError } from "../../src/kube/apiError.ts";
import { paths } from "../../src/kube/paths.ts";
import type { Pod, PodSpec } from "../../src/kube/types.ts";
import { until } from "./support/node.ts";
import { NodeCluster } from "./support/nodeCommand.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * The predecessors' test-run/start.sh as their README has it, with three changes: MAIN is the test's directory (theirs is
 * /workspaces/virtual-kubelet-cmd), the address is one that this host has, and the port is any that is free.
 */
const script = (main: string) => `#!/bin/bash
export MAIN="${main}"
export VK_PATH="$MAIN/test-run/apiserver"
export VK_BIN="$MAIN/bin"

export APISERVER_CERT_LOCATION="$VK_PATH/client.crt"
export APISERVER_KEY_LOCATION="$VK_PATH/client.key"
export KUBECONFIG="$HOME/.kube/config"

export NODENAME="vk"
export VKUBELET_POD_IP="127.0.0.1"
export KUBELET_PORT="0" 

export JIRIAF_WALLTIME="60" 
export JIRIAF_NODETYPE="cpu"
export JIRIAF_SITE="Local"

"$VK_BIN/virtual-kubelet" --nodename $NODENAME --provider mock --klog.v 3 > ./$NODENAME.log 2>&1 
`;

/** Theirs goes where pods are to go, with the label of a site that `site` names and that many seconds left. */
const affinity = (site: string, seconds: number): Partial<PodSpec> => ({
  nodeSelector: { "kubernetes.io/role": "agent" },
  tolerations: [{ key: "virtual-kubelet.io/provider", value: "mock", effect: "NoSchedule" }],
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          {
            matchExpressions: [
              { key: "jiriaf.nodetype", operator: "In", values: ["cpu"] },
              { key: "jiriaf.site", operator: "In", values: [site] },
              { key: "jiriaf.alivetime", operator: "Gt", values: [String(seconds)] },
            ],
          },
        ],
      },
    },
  },
});

let main: string;
let home: NodeCluster;
let started: ChildProcess | undefined;

/** The package as it is installed, with a bundle of what is here now: MAIN. */
beforeAll(() => {
  main = mkdtempSync(join(tmpdir(), "hostlet-main-"));
  cpSync(join(root, "bin"), join(main, "bin"), { recursive: true });
  for (const name of ["shim", "package.json"]) symlinkSync(join(root, name), join(main, name));
  const bundle = `
    import { build } from "esbuild";
    import { nodeBundle } from "./scripts/bundle.mjs";
    await build({ ...nodeBundle, entryPoints: { hostlet: "src/cli/main.ts" }, outdir: process.argv[1] });`;
  const args = ["--input-type=module", "-e", bundle, join(main, "dist")];
  execFileSync(process.execPath, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
});
afterAll(() => rmSync(main, { recursive: true, force: true }));
beforeEach(async () => {
  home = await NodeCluster.start();
  mkdirSync(join(home.dir, ".kube"));
  home.kubeconfig(".kube/config");
  home.kubeconfig();
});
afterEach(async () => {
  try {
    await endPods();
  } finally {
    await stopScript();
    await home.stop();
  }
});

/** They would outlive the script, and nobody else takes them up. */
async function endPods(): Promise<void> {
  const { items } = await home.client.list<Pod>(paths.pods("default"));
  for (const { metadata } of items) {
    // One that was being deleted already may be gone by now.
    await home.client.delete(paths.pods("default", metadata!.name!), { gracePeriodSeconds: 0 }).catch(unlessNotFound);
  }
  const left = () => readdirSync(join(home.dir, ".hostlet/state/pods"));
  await until(() => left().length === 0, "something of a pod is left");
}

function unlessNotFound(error: unknown): void {
  if (!(error instanceof ApiError && error.code === 404)) throw error;
}

/** In a process group of its own: the script's child is the agent. */
function startScript(change = (text: string) => text): void {
  const file = join(home.dir, "start.sh");
  writeFileSync(file, change(script(main)), { mode: 0o755 });
  const env = { PATH: process.env.PATH, HOME: home.dir };
  started = spawn(file, [], { cwd: home.dir, env, stdio: "ignore", detached: true });
}

async function stopScript(): Promise<void> {
  if (!started?.pid || started.exitCode !== null || started.signalCode !== null) return;
  const exited = once(started, "exit");
  process.kill(-started.pid, "SIGTERM");
  await exited;
}

const log = () => (existsSync(join(home.dir, "vk.log")) ? readFileSync(join(home.dir, "vk.log"), "utf8") : "");
const ready = () => until(() => log().includes("is Ready at"), `the script's node is not Ready: ${log()}`);
const unschedulable = ({ status }: Pod) => status?.conditions?.[0]?.reason === "Unschedulable";

test("the predecessors' start script makes a node, and their affinities choose it", async () => {
  startScript();
  await ready();
  const { metadata, spec, status } = await home.getNode("vk");
  expect(metadata?.labels).toMatchObject({
    "jiriaf.nodetype": "cpu",
    "jiriaf.site": "Local",
    "jiriaf.walltime": "60",
    "jiriaf.alivetime": expect.stringMatching(/^\d+$/),
    type: "virtual-kubelet",
  });
  expect(spec?.taints).toEqual([{ key: "virtual-kubelet.io/provider", value: "mock", effect: "NoSchedule" }]);
  expect(status?.addresses).toContainEqual({ type: "InternalIP", address: "127.0.0.1" });
  expect(log()).toContain("there is no");

  await home.sleeper("here", { spec: affinity("Local", 10) });
  await home.sleeper("elsewhere", { spec: affinity("mylin", 10) });
  await home.sleeper("longer", { spec: affinity("Local", 60) });
  await home.running("here");
  // Where the predecessors have a pod's files: below $HOME, the pod's name.
  expect(readFileSync(join(home.dir, "here/containers/main/pgid"), "utf8")).toMatch(/^\d+\n$/);
  await home.untilPod("elsewhere", unschedulable);
  await home.untilPod("longer", unschedulable);
  await home.client.delete(paths.pods("default", "here"), { gracePeriodSeconds: 1 });
  await until(() => !existsSync(join(home.dir, "here")), "the pod's directory is still there");
});

test("a process of its own waits for a cluster that is away, at the start and later", async () => {
  const port = await home.stopCluster();
  startScript();
  await until(() => log().includes("not registered yet"), "it did not look for its cluster");
  await home.startCluster(port);
  await ready();
  await home.stopCluster();
  const before = log().length;
  await until(() => log().slice(before).includes("ECONNREFUSED"), "it did not miss its cluster");
  await home.startCluster(port);
  await home.sleeper("a", { spec: affinity("Local", 1) });
  await home.running("a");
  expect(started?.exitCode).toBeNull();
});

test("a walltime of 0 is no limit and no label; the taint is as the environment says", async () => {
  startScript((text) =>
    text.replace('WALLTIME="60"', 'WALLTIME="0"\nexport VKUBELET_TAINT_KEY="site" VKUBELET_TAINT_VALUE="x"'),
  );
  await ready();
  const { metadata, spec } = await home.getNode("vk");
  expect(Object.keys(metadata?.labels ?? {}).filter((name) => name.startsWith("jiriaf."))).toEqual([
    "jiriaf.nodetype",
    "jiriaf.site",
  ]);
  expect(spec?.taints).toEqual([{ key: "site", value: "x", effect: "NoSchedule" }]);
});
