import type { Container, Pod } from "../../kube/types.ts";

/** What a container of the dummy is to look like. */
export interface Script {
  /** ms from the start on; undefined: until it is ended */
  runForMs?: number;
  exitCode: number;
  reason?: string;
  message?: string;
  /** Its whole log, written at the start. */
  log: string;
  /** ms that the start takes */
  startDelayMs: number;
  /** SIGTERM does not end it. */
  ignoresTerm: boolean;
  /** It can't be started, for this reason. */
  startError?: string;
}

/** Annotations of a pod, for all its containers; `dummy.hostlet.dev/<container>.exit-code` and the like are for one. */
export const prefix = "dummy.hostlet.dev/";

/**
 * From the pod's annotations, and where they say nothing from the command: one that ends in `exit N` has ended at once, `sleep N` takes N
 * seconds, anything else runs until it is ended; `echo WORD` is its log, and
 * after `trap '' TERM` only SIGKILL ends it.
 */
export function scriptOf(pod: Pod, container: Container): Script {
  const annotations = pod.metadata?.annotations ?? {};
  const get = (name: string) => annotations[`${prefix}${container.name}.${name}`] ?? annotations[`${prefix}${name}`];
  const command = [...(container.command ?? []), ...(container.args ?? [])].join(" ");
  const exit = /\bexit (\d+)\s*$/.exec(command)?.[1];
  const sleep = /(?<!exec )\bsleep (\d+(?:\.\d+)?)\s*$/.exec(command)?.[1];
  const echo = [...command.matchAll(/\becho (\w+)/g)].map(([, word]) => `${word}\n`).join("");
  const runFor =
    seconds(get("run-for")) ?? (exit !== undefined ? 0 : sleep === undefined ? undefined : Number(sleep) * 1000);
  const code = Number(get("exit-code") ?? exit ?? 0);
  const [reason, message, startError] = [get("reason"), get("message"), get("start-error")];
  return {
    ...(runFor !== undefined && { runForMs: runFor }),
    exitCode: Number.isInteger(code) && code >= 0 && code <= 255 ? code : 1,
    ...(reason !== undefined && { reason }),
    ...(message !== undefined && { message }),
    log: get("log") ?? echo,
    startDelayMs: seconds(get("start-delay")) ?? 0,
    ignoresTerm: get("ignore-term") === "true" || /\btrap '' TERM\b/.test(command),
    ...(startError !== undefined && { startError }),
  };
}

/** `1.5` and `1.5s` are seconds, `20ms` and `2m` what they say. */
function seconds(text: string | undefined): number | undefined {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text ?? "");
  if (!found) return undefined;
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3600_000 }[found[2] ?? "s"] ?? 1000;
  return Number(found[1]) * unit;
}
