/** What a probe's handler found out. An error that it throws instead counts as a failure whose reason is not the container's. */
export interface ProbeOutcome {
  /** `warning` counts as a success, and is told. */
  result: "success" | "failure" | "warning";
  /** Of a failure or a warning: for its Event. */
  output: string;
}

export const success: ProbeOutcome = { result: "success", output: "" };

export function failure(output: string): ProbeOutcome {
  return { result: "failure", output };
}

const words: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by peer",
  EPIPE: "broken pipe",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  EADDRNOTAVAIL: "cannot assign requested address",
  EMFILE: "too many open files",
  ENOTFOUND: "no such host",
};

/** A failed connection in the words that users know from the kubelet: `dial tcp 10.0.0.1:80: connect: connection refused`. */
export function dialError(host: string, port: number, error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  const address = hostPort(host, port);
  if (code === "ENOTFOUND") return `dial tcp: lookup ${host}: no such host`;
  return `dial tcp ${address}: connect: ${words[code] ?? message}`;
}

/** What went wrong on a connection that stood. */
export function streamError(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return words[code] ?? message;
}

export function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
