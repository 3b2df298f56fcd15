/** What a scenario found: a line of the table. */
export interface Figure {
  scenario: string;
  name: string;
  value: number;
  unit: string;
  /** What the issues aim at. */
  aim?: Aim;
  /** `value` as a multiple of a floor measured in this same run. */
  ratio?: { of: string; value: number };
  /** What `value` is the sum of. */
  parts?: Record<string, number>;
}

export interface Aim {
  is: "<" | ">" | "=";
  value: number;
}

/** A value that could not be measured misses any aim. */
export function missed({ value, aim }: Figure): boolean {
  if (!aim) return false;
  if (aim.is === "<") return !(value < aim.value);
  return aim.is === ">" ? !(value > aim.value) : value !== aim.value;
}

/** Milliseconds since the epoch with fractions: comparable with what another process wrote down. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** @param p 0 to 100; the nearest rank, so always a value that was measured */
export function percentile(values: number[], p: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] as number;
}

export function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}

/** Fills in the ratios to the floors, which are figures of the same run by their name. */
export function withRatios(figures: Figure[], floorOf: Record<string, string>): Figure[] {
  return figures.map((figure) => {
    const floor = figures.find((other) => other.name === floorOf[figure.name]);
    if (!floor || floor.value === 0) return figure;
    return { ...figure, ratio: { of: floor.name, value: round(figure.value / floor.value) } };
  });
}
