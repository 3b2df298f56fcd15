import type { SlurmJob } from "./states.ts";

/** How a job says whose it is: in its comment, and in its name, as some sites write comments of their own. */
export function jobMark(uid: string): string {
  return `hostlet:${uid}`;
}

/** The name that people see in squeue, with the pod's UID behind it. */
export function jobName(pod: { namespace: string; name: string; uid: string }): string {
  return `${pod.namespace}/${pod.name}.${pod.uid}`;
}

export interface QueuedJob extends SlurmJob {
  /** The UID of its pod. */
  uid: string;
}

/** `squeue --format`: the fields that anybody can write stand last. */
export const squeueFormat = "%i|%T|%r|%j|%k";

/** Jobs of pods among all that squeue shows; lines of others, or cut short, are skipped. */
export function parseSqueue(text: string): QueuedJob[] {
  return text.split("\n").flatMap((line) => {
    const [id = "", state, reason, ...rest] = line.split("|");
    if (!/^\d+$/.test(id) || !state || reason === undefined) return [];
    const uid = uidIn(rest.join("|"));
    return uid === undefined ? [] : [{ id: Number(id), state, reason, uid }];
  });
}

export const sacctFormat = "JobIDRaw,State,ExitCode,Reason,JobName,Comment";

/** `sacct -nPX --format=sacctFormat` */
export function parseSacct(text: string): QueuedJob[] {
  return text.split("\n").flatMap((line) => {
    const [id = "", words = "", exit = "", reason = "", ...rest] = line.split("|");
    if (!/^\d+$/.test(id)) return [];
    const [state = "", by, who] = words.split(" ");
    const uid = uidIn(rest.join("|")) ?? "";
    return [
      {
        id: Number(id),
        state,
        reason,
        uid,
        ...(by === "by" && /^\d+$/.test(who ?? "") && { cancelledBy: Number(who) }),
        ...exitCodeOf(exit),
      },
    ];
  });
}

/** `3:0` is exit code 3, `0:9` a SIGKILL. */
function exitCodeOf(text: string): { exitCode?: number } {
  const match = /^(\d+):(\d+)$/.exec(text);
  if (!match) return {};
  const [code, signal] = [Number(match[1]), Number(match[2])];
  return { exitCode: signal > 0 ? 128 + signal : code };
}

const uidPattern = "[0-9A-Za-z][0-9A-Za-z-]{0,62}";
const inComment = new RegExp(`\\|hostlet:(${uidPattern})$`);
const inName = new RegExp(`^[^|]+/[^|]+\\.(${uidPattern})\\|`);

function uidIn(nameAndComment: string): string | undefined {
  return (inComment.exec(nameAndComment.trimEnd()) ?? inName.exec(nameAndComment))?.[1];
}
