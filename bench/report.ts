import { type Figure, missed } from "./statistics.ts";

/** The figures of one control plane. */
export interface Run {
  /** `embedded`, `real:1.34.2`. */
  controlPlane: string;
  figures: Figure[];
}

/** The scenario whose sums are shown by what they consist of. */
export const requestsScenario = "requests";

/** How rows become text: columns of a terminal, or a table of Markdown. */
export type Layout = (header: string[], rows: string[][]) => string;

export const plain: Layout = (header, rows) => {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: string[]) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ");
  return [line(header), widths.map((w) => "-".repeat(w)).join("  "), ...rows.map(line)]
    .map((l) => l.trimEnd())
    .join("\n");
};

export const markdown: Layout = (header, rows) =>
  [header, header.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");

const same = (a: Figure, b: Figure) => a.scenario === b.scenario && a.name === b.name;

/** Each figure that any run has, once. */
function lines(runs: Run[]): Figure[] {
  const all = runs.flatMap(({ figures }) => figures);
  return all.filter((figure, i) => all.findIndex((other) => same(figure, other)) === i);
}

function cell(figure: Figure | undefined): string {
  if (!figure) return "";
  const ratio = figure.ratio ? ` (${figure.ratio.value} x floor)` : "";
  return `${figure.value}${missed(figure) ? " MISSED" : ""}${ratio}`;
}

/** One line a figure, one column a control plane. */
export function figuresTable(runs: Run[], layout: Layout): string {
  const rows = lines(runs).map((line) => [
    line.scenario,
    line.name,
    ...runs.map(({ figures }) => cell(figures.find((figure) => same(figure, line)))),
    line.unit,
    line.aim ? `${line.aim.is} ${line.aim.value}` : "",
  ]);
  return layout(["scenario", "figure", ...runs.map((run) => run.controlPlane), "unit", "aim"], rows);
}

/** One line for each verb and resource of one run, one column a figure; undefined where none was counted. */
export function requestsTable({ figures }: Run, layout: Layout): string | undefined {
  const sums = figures.filter(({ scenario }) => scenario === requestsScenario);
  if (sums.length === 0) return undefined;
  const names = [...new Set(sums.flatMap(({ parts }) => Object.keys(parts ?? {})))];
  const rows = names.map((name) => [name, ...sums.map(({ parts }) => String(parts?.[name] ?? ""))]);
  const all = ["all", ...sums.map(({ value }) => String(value))];
  return layout(["verb and resource", ...sums.map(({ name }) => name)], [...rows, all]);
}

/** One line for each figure that misses its aim. */
export function misses(runs: Run[]): string[] {
  return runs.flatMap(({ controlPlane, figures }) =>
    figures.filter(missed).map(({ scenario, name, value, unit, aim }) => {
      const found = `${value} ${unit}`.trimEnd();
      return `${controlPlane}, ${scenario}: ${name}: ${found}; the aim is ${aim?.is} ${aim?.value}`;
    }),
  );
}
