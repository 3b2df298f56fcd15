import { sleep } from "../../clock.ts";
import type { LifecycleHandler } from "../../kube/types.ts";
import { execInContainer } from "../execInContainer.ts";
import { get } from "../probes/http.ts";
import type { ProbeTarget } from "../probes/probe.ts";
import { httpRequest } from "../probes/target.ts";

const userAgent = "kube-lifecycle/hostlet";

/**
 * Runs a container's postStart or preStop to its end.
 * @throws {Error} where it failed, or was aborted. Of an HTTP server any answer will do, as for the kubelet
 */
export async function runHook(handler: LifecycleHandler, target: ProbeTarget, signal: AbortSignal): Promise<void> {
  const { runtime, clock, id, container, podIP } = target;
  if (handler.exec) {
    const { exitCode } = await execInContainer(runtime, clock, id, handler.exec.command ?? [], signal);
    if (exitCode !== 0) throw new Error(`the command exited with ${exitCode}`);
  } else if (handler.httpGet) {
    await get(httpRequest(handler.httpGet, container, podIP, userAgent), signal);
  } else if (handler.sleep) {
    await sleep(clock, handler.sleep.seconds * 1000, signal);
  } else {
    throw new Error("the hook has no handler that a kubelet runs: exec, httpGet, sleep");
  }
}
