/** An option of sbatch by its long name; without a value it is a switch. */
export interface Flag {
  name: string;
  value?: string;
}

/** What words of a command line come to. */
export interface ParsedFlags {
  flags: Flag[];
  /** For an Event: what is left out, and why. */
  ignored: string[];
  /** Why the job can't be submitted so. */
  refused: string[];
}

const shortNames: Record<string, string> = {
  A: "account",
  a: "array",
  B: "extra-node-info",
  b: "begin",
  C: "constraint",
  c: "cpus-per-task",
  D: "chdir",
  d: "dependency",
  e: "error",
  F: "nodefile",
  G: "gpus",
  H: "hold",
  h: "help",
  i: "input",
  J: "job-name",
  k: "no-kill",
  L: "licenses",
  M: "clusters",
  m: "distribution",
  N: "nodes",
  n: "ntasks",
  O: "overcommit",
  o: "output",
  p: "partition",
  Q: "quiet",
  q: "qos",
  S: "core-spec",
  s: "oversubscribe",
  t: "time",
  V: "version",
  v: "verbose",
  W: "wait",
  w: "nodelist",
  x: "exclude",
};

/** Those that take no value as a word of its own. */
const switches = new Set([
  ...["contiguous", "exclusive", "get-user-env", "help", "hold", "ignore-pbs", "nice", "no-kill", "no-requeue"],
  ...["overcommit", "oversubscribe", "parsable", "propagate", "quiet", "reboot", "requeue", "spread-job", "test-only"],
  ...["usage", "use-min-nodes", "verbose", "version", "wait"],
]);

/** hostlet says these itself. */
const ours = new Set([
  ...["job-name", "comment", "output", "error", "input", "chdir", "open-mode", "export", "export-file"],
  ...["get-user-env", "parsable", "quiet", "verbose", "requeue", "no-requeue", "ignore-pbs"],
]);

/** With these there would be no job, several, or one of somebody else. */
const refusals: Record<string, string> = {
  array: "a pod is one job",
  wrap: "the job runs the pod",
  wait: "sbatch would wait for the job's end",
  "test-only": "no job would be submitted",
  help: "no job would be submitted",
  usage: "no job would be submitted",
  version: "no job would be submitted",
  clusters: "the node is of one cluster",
  uid: "jobs are those of the node's user",
  gid: "jobs have the group of the node's user",
};

/** Options of sbatch as a user writes them; the later ones of a name are to win. */
export function parseFlags(words: readonly string[]): ParsedFlags {
  const parsed: ParsedFlags = { flags: [], ignored: [], refused: [] };
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const flag = readFlag(word, rest);
    if (!flag) parsed.refused.push(`${JSON.stringify(word)} is no option of sbatch`);
    else if (Object.hasOwn(refusals, flag.name)) parsed.refused.push(`--${flag.name}: ${refusals[flag.name]}`);
    else if (ours.has(flag.name)) parsed.ignored.push(`--${flag.name}`);
    else parsed.flags.push(flag);
  }
  return parsed;
}

function readFlag(word: string, rest: string[]): Flag | undefined {
  const long = /^--([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(word);
  if (long) {
    const [, name = "", value] = long;
    return { name, ...withValue(name, value, rest) };
  }
  const short = /^-([A-Za-z])(.*)$/s.exec(word);
  const name = short && shortNames[short[1]!];
  if (!short || !name) return undefined;
  const value = short[2]!.replace(/^=/, "");
  return { name, ...withValue(name, value === "" ? undefined : value, rest) };
}

function withValue(name: string, value: string | undefined, rest: string[]): { value?: string } {
  if (value !== undefined) return { value };
  if (switches.has(name) || rest.length === 0 || rest[0]!.startsWith("-")) return {};
  return { value: rest.shift()! };
}

/** One option of each name: the last. */
export function mergeFlags(...layers: readonly Flag[][]): Flag[] {
  const merged = new Map<string, Flag>();
  for (const flag of layers.flat()) {
    merged.delete(flag.name);
    merged.set(flag.name, flag);
  }
  return [...merged.values()];
}

/** As an argument of sbatch: no shell is involved. */
export function formatFlag({ name, value }: Flag): string {
  return value === undefined ? `--${name}` : `--${name}=${value}`;
}
