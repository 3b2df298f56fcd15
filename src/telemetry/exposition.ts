/** Metrics in Prometheus' text format 0.0.4, which is what kubelets answer and everybody reads. */

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  /** Appended to the family's name: `_bucket`, `_sum`, `_count`. */
  suffix?: string;
  labels?: Labels;
  value: number;
  /** When it was read, ms since the epoch; absent: now. */
  time?: number;
}

export interface Family {
  name: string;
  help: string;
  type: "counter" | "gauge" | "histogram";
  samples: Sample[];
}

export const contentType = "text/plain; version=0.0.4; charset=utf-8";

/** A family without samples is left out. */
export function exposition(families: Iterable<Family>): string {
  const lines: string[] = [];
  for (const { name, help, type, samples } of families) {
    if (samples.length === 0) continue;
    lines.push(`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`);
    for (const sample of samples) lines.push(line(name, sample));
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function line(name: string, { suffix = "", labels, value, time }: Sample): string {
  const at = time === undefined ? "" : ` ${Math.round(time)}`;
  return `${name}${suffix}${labels ? braces(labels) : ""} ${number(value)}${at}`;
}

function braces(labels: Labels): string {
  const pairs: string[] = [];
  for (const name in labels) pairs.push(`${name}="${quoted(labels[name] ?? "")}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function number(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

/** Names of pods and containers hold nothing to escape: they are the common case. */
function quoted(text: string): string {
  return /["\\\n]/.test(text) ? escaped(text).replaceAll('"', '\\"') : text;
}
