import { HostletError } from "../../../errors.ts";
import type { LogOptions } from "../../../kube/logOptions.ts";
import { criTimestamp } from "./cri.ts";

/**
 * The oldest timestamp that is wanted, in the CRI form; the later one where both options are given, as in the kubelet.
 * @throws {HostletError} NotSupported where sinceTime is not RFC 3339
 */
export function sinceTimestamp(
  options: Pick<LogOptions, "sinceSeconds" | "sinceTime">,
  now: number,
): string | undefined {
  const candidates: string[] = [];
  if (options.sinceSeconds !== undefined) candidates.push(criTimestamp(Math.max(0, now - options.sinceSeconds * 1000)));
  if (options.sinceTime !== undefined) candidates.push(fromRFC3339(options.sinceTime));
  return candidates.sort().at(-1);
}

function fromRFC3339(time: string): string {
  const [, seconds, fraction = "", zone] =
    /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/i.exec(time) ?? [];
  const ms = Date.parse(`${seconds}${zone}`);
  if (Number.isNaN(ms)) {
    throw new HostletError(
      "NotSupported",
      `sinceTime ${JSON.stringify(time)} is not a time: write it as 2026-01-02T03:04:05Z`,
    );
  }
  return `${new Date(ms).toISOString().slice(0, 19)}.${fraction.slice(0, 9).padEnd(9, "0")}Z`;
}
