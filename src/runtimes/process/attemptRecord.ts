import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type AttemptPaths, writeDurably } from "./layout.ts";

/** `attempt.json`: what the agent must know of a start that it decided; durable before the shim is. */
export interface AttemptRecord {
  version: 1;
  restartCount: number;
  namespace: string;
  podName: string;
  /** The container's own directory. */
  dir: string;
}

export function parseAttemptRecord(text: string): AttemptRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { version, restartCount, namespace, podName, dir } = value as Partial<Record<keyof AttemptRecord, unknown>>;
  if (version !== 1 || !Number.isSafeInteger(restartCount) || (restartCount as number) < 0) return undefined;
  if (typeof namespace !== "string" || typeof podName !== "string" || typeof dir !== "string") return undefined;
  return { version, restartCount: restartCount as number, namespace, podName, dir };
}

export function writeAttemptRecord(paths: AttemptPaths, record: AttemptRecord): Promise<void> {
  const file = join(paths.dir, "attempt.json");
  return writeDurably(`${file}.draft`, file, `${JSON.stringify(record)}\n`);
}

/** Undefined where it is missing, half-written or of a version that is not ours. */
export function readAttemptRecord(attemptDir: string): AttemptRecord | undefined {
  try {
    return parseAttemptRecord(readFileSync(join(attemptDir, "attempt.json"), "utf8"));
  } catch {
    return undefined;
  }
}
