import { HostletError } from "../../errors.ts";
import type { LogOptions } from "../../kube/logOptions.ts";
import type { PodRef } from "../../kube/types.ts";
import type { InterlinkClient } from "./client.ts";
import { AnswerError } from "./http.ts";
import type { LogStruct } from "./wire/types.ts";

export const zeroTime = "0001-01-01T00:00:00Z";

export function logRequest(pod: PodRef, container: string, options: LogOptions, now: number): LogStruct {
  const { tailLines, limitBytes = 0, sinceSeconds = 0, sinceTime, timestamps, follow, previous } = options;
  // The protocol's 0 means all: nothing of the past, and the rest as it comes, is a log since now.
  const since = tailLines === 0 ? new Date(now).toISOString() : sinceTime;
  return {
    Namespace: pod.namespace,
    PodUID: pod.uid,
    PodName: pod.name,
    ContainerName: container,
    Opts: {
      Tail: tailLines ?? 0,
      Bytes: limitBytes,
      Timestamps: timestamps,
      Follow: follow,
      Previous: previous,
      SinceSeconds: tailLines === 0 ? 0 : sinceSeconds,
      SinceTime: since ?? zeroTime,
    },
  };
}

/** @throws {HostletError} NotFound, NotSupported, ConfigInvalid: what the far end said; any other error where it broke off */
export async function* readLogs(
  client: InterlinkClient,
  pod: PodRef,
  container: string,
  options: LogOptions,
  now: number,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  if (options.stream && options.stream !== "All") {
    throw new HostletError("NotSupported", "interLink's protocol does not tell standard output from standard error");
  }
  if (options.tailLines === 0 && !options.follow) return;
  const abort = new AbortController();
  try {
    const request = logRequest(pod, container, options, now);
    const response = await client.logs(request, AbortSignal.any([signal, abort.signal])).catch((error) => {
      throw explained(error);
    });
    for await (const chunk of response as AsyncIterable<Buffer>) yield chunk;
    if (!response.complete) throw new Error("the log broke off on its way");
  } finally {
    abort.abort();
  }
}

function explained(error: unknown): unknown {
  if (!(error instanceof AnswerError)) return error;
  if (error.status === 404)
    return new HostletError("NotFound", error.body || "no such log at the far end", { cause: error });
  if (error.status === 400) return new HostletError("ConfigInvalid", error.body, { cause: error });
  if (error.status === 501) return new HostletError("NotSupported", error.body, { cause: error });
  return error;
}
