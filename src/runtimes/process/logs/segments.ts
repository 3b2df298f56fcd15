import { readdirSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";

/** The numbers of a container's log files, oldest first. */
export function listSegments(logDir: string): number[] {
  let names: string[];
  try {
    names = readdirSync(logDir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const numbers: number[] = [];
  for (const name of names) {
    const number = /^(\d{1,15})\.log$/.exec(name)?.[1];
    if (number !== undefined) numbers.push(Number(number));
  }
  return numbers.sort((a, b) => a - b);
}

/** Undefined where rotation has removed it meanwhile. */
export async function openSegment(logDir: string, number: number): Promise<FileHandle | undefined> {
  try {
    return await open(join(logDir, `${number}.log`), "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
