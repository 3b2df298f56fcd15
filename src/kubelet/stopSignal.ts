import { constants } from "node:os";
import type { Container } from "../kube/types.ts";

/** The first real-time signal that a program may use: glibc keeps 32 and 33 for itself. */
const firstRealTime = 34;
const lastRealTime = 64;

/** The signal that asks a container to end: `lifecycle.stopSignal`, SIGTERM otherwise. */
export function stopSignal({ lifecycle }: Container): number {
  const name = lifecycle?.stopSignal;
  if (name === undefined) return constants.signals.SIGTERM;
  const realTime = /^SIGRTM(IN|AX)(?:[+-](\d+))?$/.exec(name);
  if (realTime) {
    const offset = Number(realTime[2] ?? 0);
    return realTime[1] === "IN" ? firstRealTime + offset : lastRealTime - offset;
  }
  return (constants.signals as Record<string, number>)[name] ?? constants.signals.SIGTERM;
}
