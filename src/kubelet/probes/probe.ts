import type { Clock } from "../../clock.ts";
import type { Container, Probe } from "../../kube/types.ts";
import type { ContainerID, ContainerRuntime } from "../../runtimes/contract.ts";
import { execInContainer } from "../execInContainer.ts";
import { probeGrpc } from "./grpc.ts";
import { probeHttp } from "./http.ts";
import { atLeastOne } from "./judge.ts";
import { failure, type ProbeOutcome, success } from "./outcome.ts";
import { httpRequest, resolvePort } from "./target.ts";
import { probeTcp } from "./tcpSocket.ts";

export interface ProbeTarget {
  runtime: ContainerRuntime;
  clock: Clock;
  id: ContainerID;
  container: Container;
  /** Where the container is reached unless the probe names a host. */
  podIP: string;
}

/** Some programs tell probes from users by it. */
const userAgent = "kube-probe/hostlet";

/**
 * Asks a container once.
 * @param signal aborts when the probe's timeout is over
 * @throws {Error} where the probe can't be made: a port without a number, a runtime without exec
 */
export async function runProbe(probe: Probe, target: ProbeTarget, signal: AbortSignal): Promise<ProbeOutcome> {
  const { container, podIP } = target;
  if (probe.exec) return probeExec(probe.exec.command ?? [], atLeastOne(probe.timeoutSeconds, 1), target, signal);
  if (probe.httpGet) return probeHttp(httpRequest(probe.httpGet, container, podIP, userAgent), signal);
  if (probe.tcpSocket) {
    const { host, port } = probe.tcpSocket;
    return probeTcp(host || podIP, resolvePort(port, container), signal);
  }
  if (probe.grpc) {
    const { port, service } = probe.grpc;
    return probeGrpc({ host: podIP, port, service: service ?? "", agent: userAgent }, signal);
  }
  throw new Error(`missing probe handler for container "${container.name}"`);
}

async function probeExec(
  argv: string[],
  timeoutSeconds: number,
  { runtime, clock, id }: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  try {
    const { exitCode, output } = await execInContainer(runtime, clock, id, argv, signal);
    return exitCode === 0 ? success : failure(output);
  } catch (error) {
    if (!signal.aborted) throw error;
    return failure(`command timed out: ${JSON.stringify(argv.join(" "))} timed out after ${timeoutSeconds}s`);
  }
}
