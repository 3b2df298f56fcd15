import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ContainerSpec } from "../contract.ts";
import { type AttemptPaths, writeDurably } from "./layout.ts";

/** `attempt.json`: what the agent must know of a start that it decided; durable before the shim is, for its user alone. */
export interface AttemptRecord {
  restartCount: number;
  /** As it was started; exec and attach need it. Absent in the records of hostlet 0.1 (version 1). */
  spec?: ContainerSpec;
}

/** Undefined for anything that is not a whole record of a version that is ours. */
export function parseAttemptRecord(text: string): AttemptRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  if (value.version === 1) return isCount(value.restartCount) ? { restartCount: value.restartCount } : undefined;
  if (value.version !== 2 || !isSpec(value.spec)) return undefined;
  return { restartCount: value.spec.restartCount, spec: value.spec };
}

function isSpec(value: unknown): value is ContainerSpec {
  if (!isObject(value) || !isCount(value.restartCount) || !isObject(value.env) || !Array.isArray(value.mounts))
    return false;
  return (
    Array.isArray(value.argv) && [value.namespace, value.podName, value.dir].every((name) => typeof name === "string")
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export function writeAttemptRecord(paths: AttemptPaths, spec: ContainerSpec): Promise<void> {
  const file = join(paths.dir, "attempt.json");
  return writeDurably(`${file}.draft`, file, `${JSON.stringify({ version: 2, spec })}\n`);
}

/** Undefined where it is missing, half-written or of a version that is not ours. */
export function readAttemptRecord(attemptDir: string): AttemptRecord | undefined {
  try {
    return parseAttemptRecord(readFileSync(join(attemptDir, "attempt.json"), "utf8"));
  } catch {
    return undefined;
  }
}
