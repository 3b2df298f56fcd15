/** What became of a submission that gave no job id. */
export type Refusal =
  /** The pod can't run as it asks; it is over. */
  | { kind: "refused"; message: string }
  /** Slurm, or the site's limits, have no room now: tried again. */
  | { kind: "later"; reason: "SlurmUnavailable" | "SlurmLimit"; message: string }
  /** There may be a job all the same: it is looked for first. */
  | { kind: "lost"; message: string };

const lost = /timed out|zero bytes were|did not answer in time/i;
const away =
  /unable to contact slurm|connection (refused|reset)|connect failure|temporarily unable|resource temporarily|munge|authentication|security violation|no route to host|in backup mode|in standby mode|file system full|unable to resolve|still being loaded/i;
const limits =
  /accounting\/QOS policy|submit limit|(QOS|Assoc)(Max|Grp)Submit|too many jobs|maximum (number of )?jobs|MaxJobCount|queue is full/i;

/** Pure. @param stderr what sbatch said */
export function refusalOf(stderr: string): Refusal {
  const message = sentence(stderr);
  if (lost.test(message)) return { kind: "lost", message };
  if (limits.test(message)) return { kind: "later", reason: "SlurmLimit", message };
  if (away.test(message)) return { kind: "later", reason: "SlurmUnavailable", message };
  return { kind: "refused", message };
}

const commandName = /^(sbatch|scancel|squeue|sinfo|sacct|srun): (error: )?/;

/** What a command said, as one line without its own name. */
export function sentence(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.replace(commandName, "").trim());
  return (
    lines
      .filter((line) => line !== "")
      .join("; ")
      .slice(0, 1000) || "it gave no reason"
  );
}
