import type { Status } from "../../kube/types.ts";
import type { StreamsEnd } from "../../runtimes/streams.ts";

/** What the client of a command is told at its end. */
export function endStatus({ exitCode, message }: StreamsEnd): Status {
  if (exitCode === 0) return { metadata: {}, status: "Success" };
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: ${message ?? `exit code ${exitCode}`}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(exitCode) }] },
  };
}

export function errorStatus(error: unknown): Status {
  const message = error instanceof Error ? error.message : String(error);
  return {
    metadata: {},
    status: "Failure",
    message: `Internal error occurred: ${message}`,
    reason: "InternalError",
    details: { causes: [{ message }] },
    code: 500,
  };
}

/** Before version 4 the error stream is a text, and empty where all went well. */
export function formatStatus(status: Status, version: number): string {
  if (version >= 4) return JSON.stringify(status);
  return status.status === "Success" ? "" : (status.message ?? "failed");
}
