import { CommanderError } from "commander";
import { errorCodes, HostletError } from "../errors.ts";
import type { Output } from "./console.ts";

/**
 * Tells of what a command failed with, in one line.
 * @returns what to exit with
 */
export function report(error: unknown, stderr: Output, stack: boolean): number {
  // Commander has said it itself, and what it says is about the command line.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : errorCodes.ConfigInvalid.exitCode;
  const known = error instanceof HostletError;
  const text = error instanceof Error ? error.message : String(error);
  stderr.write(
    known ? `error: ${text} (${error.code})\n` : `error: unexpected: ${text}; --log-level=debug tells more\n`,
  );
  if (stack) stderr.write(`${stackOf(error)}\n`);
  return known ? error.exitCode : 1;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
