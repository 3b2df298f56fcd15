import { readFileSync } from "node:fs";
import { join } from "node:path";
import { nanosToMs, parseRecord, wholeNumber } from "./records.ts";

export interface Payload {
  pid: number;
  startTime: string;
  /** ms since the epoch */
  started: number;
}

/** What the shim wrote of its payload before it let it run; undefined where it did not come to that. */
export function readPayload(attemptDir: string): Payload | undefined {
  let text: string;
  try {
    text = readFileSync(join(attemptDir, "payload"), "utf8");
  } catch {
    return undefined;
  }
  const { pid, starttime, started } = parseRecord(text);
  const [number, ms] = [wholeNumber(pid), nanosToMs(started)];
  return number && starttime && ms !== undefined ? { pid: number, startTime: starttime, started: ms } : undefined;
}
