import type { LogOptions } from "../../kube/logOptions.ts";
import { sinceTimestamp } from "../process/logs/since.ts";
import type { EngineClient } from "./engineClient.ts";
import { FrameParser } from "./frames.ts";
import { LogLines, lastLines } from "./logLines.ts";

export interface LogRequest {
  client: EngineClient;
  /** The engine's id of the container. */
  engineID: string;
  /** Its output is one stream without frames. */
  tty: boolean;
  options: LogOptions;
  /** The engine's own count of the last lines is not to be trusted. */
  ownTail: boolean;
  now: number;
  signal: AbortSignal;
}

/**
 * The container's log as `kubectl logs` has it. What is older than asked for is decided here, as engines round it; and how many
 * lines are the last, where that is of one stream (which they count over both), or the engine is Podman (which loses line breaks).
 */
export async function* readEngineLogs(request: LogRequest): AsyncGenerator<Uint8Array> {
  const { options, signal } = request;
  const { tailLines, follow, stream } = options;
  const counted = tailLines !== undefined && (request.ownTail || (stream ?? "All") !== "All");
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  try {
    let skip = 0;
    if (counted) {
      const { last, before } = await lastOf(textsOf(request, false, undefined), tailLines);
      if (!follow) {
        yield last.subarray(0, left);
        return;
      }
      skip = before;
    }
    for await (const text of textsOf(request, follow, counted ? undefined : tailLines)) {
      const wanted = text.subarray(skip);
      skip = Math.max(0, skip - text.length);
      if (wanted.length === 0) continue;
      yield wanted.length > left ? wanted.subarray(0, left) : wanted;
      left -= wanted.length;
      if (left <= 0) return;
    }
  } catch (error) {
    // Who asked has left: an end like any other.
    if (!signal.aborted) throw error;
  }
}

/** The last lines, and how many bytes stand before them. */
async function lastOf(texts: AsyncIterable<Buffer>, count: number): Promise<{ last: Buffer; before: number }> {
  let last: Buffer = Buffer.alloc(0);
  let total = 0;
  for await (const text of texts) {
    total += text.length;
    last = lastLines(Buffer.concat([last, text]), count);
  }
  return { last, before: total - last.length };
}

async function* textsOf(request: LogRequest, follow: boolean, tail: number | undefined): AsyncGenerator<Buffer> {
  const { client, engineID, tty, options, now, signal } = request;
  const since = sinceTimestamp(options, now);
  // A terminal's output has no frames: it is not to be told from its timestamps, so only who wants these gets them.
  const lines = tty ? undefined : new LogLines(options.timestamps, since);
  const response = await client.stream({
    method: "GET",
    path: `/containers/${engineID}/logs`,
    query: {
      stdout: options.stream !== "Stderr",
      stderr: options.stream !== "Stdout",
      timestamps: !tty || options.timestamps,
      follow,
      tail: tail ?? "all",
      ...(since !== undefined && { since: Math.floor(Date.parse(since) / 1000) }),
    },
    signal,
  });
  const parser = new FrameParser();
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      const text = lines ? Buffer.concat(parser.push(chunk).map((frame) => lines.take(frame))) : chunk;
      if (text.length > 0) yield text;
    }
  } finally {
    response.destroy();
  }
}
