import type { Preparer } from "../../kubelet/deps.ts";
import { PodFiles } from "../../kubelet/podFiles.ts";
import type { Provider, ProviderContext, ProviderInfo } from "../contract.ts";
import { LocalProvider } from "../local/index.ts";
import { DummyRuntime, scriptVariable } from "./runtime.ts";
import { scriptOf } from "./script.ts";

export interface DummyOptions {
  context: ProviderContext;
  stateDir: string;
  podsDir: string;
  hostIP: string;
}

/** No volumes, no environment, no program: only what the dummy is to pretend. */
const preparer: Preparer = {
  pod: async () => ({ refs: [], warnings: [], refresh: async () => [] }),
  async container(pod, container) {
    const argv = [...(container.command ?? ["dummy"]), ...(container.args ?? [])];
    return { argv, env: { [scriptVariable]: JSON.stringify(scriptOf(pod, container)) }, mounts: [], warnings: [] };
  },
};

/**
 * interLink's mock: answers plausibly, and runs nothing. It is the kubelet core over containers that are only said to run, so init
 * containers, restarts, deadlines and deletion are what they are anywhere. See script.ts for what a pod can ask of it.
 */
class DummyProvider extends LocalProvider {
  override get info(): ProviderInfo {
    return { name: "dummy", runtimeVersion: "dummy://1" };
  }
}

export function createDummyProvider({ context, stateDir, podsDir, hostIP }: DummyOptions): Provider {
  return new DummyProvider({
    context,
    runtime: new DummyRuntime(stateDir, context.clock),
    files: new PodFiles({ stateDir, podsDir, layout: "namespace" }),
    preparer,
    hostIP,
  });
}
