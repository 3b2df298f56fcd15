import { connect } from "node:net";
import { onAbort } from "../../kube/abort.ts";
import { dialError, failure, hostPort, type ProbeOutcome, success } from "./outcome.ts";

/** Whether somebody listens there. */
export function probeTcp(host: string, port: number, signal: AbortSignal): Promise<ProbeOutcome> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const socket = connect({ host, port });
    const finish = (outcome: ProbeOutcome) => {
      forget();
      socket.destroy();
      resolve(outcome);
    };
    const forget = onAbort(signal, () => finish(failure(`dial tcp ${hostPort(host, port)}: i/o timeout`)));
    socket.once("connect", () => finish(success));
    socket.on("error", (error) => finish(failure(dialError(host, port, error))));
  });
}
