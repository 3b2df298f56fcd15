import type { Family, Labels, Sample } from "./exposition.ts";

/** Counts up. Labels are those that its family was made with. */
export interface Counter {
  inc(labels?: Labels, by?: number): void;
  /** Forgets the series whose labels hold all of these: what they were about is gone. */
  forget(labels: Labels): void;
}

export interface Histogram {
  observe(value: number, labels?: Labels): void;
  forget(labels: Labels): void;
}

interface Series {
  labels: Labels;
  value: number;
  /** Of a histogram: how many were at most each bound. */
  buckets: number[];
  count: number;
}

interface Held {
  name: string;
  help: string;
  type: "counter" | "histogram";
  bounds: readonly number[];
  series: Map<string, Series>;
}

/** Prometheus' own, in seconds. */
const defaultBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Counters and histograms by name, and families that are read when somebody asks. */
export class Registry {
  readonly #held: Held[] = [];
  readonly #collectors: (() => Family[])[] = [];

  counter(name: string, help: string): Counter {
    const held = this.#hold({ name, help, type: "counter", bounds: [], series: new Map() });
    return {
      inc: (labels = {}, by = 1) => {
        seriesOf(held, labels).value += by;
      },
      forget: (labels) => forget(held, labels),
    };
  }

  histogram(name: string, help: string, bounds: readonly number[] = defaultBounds): Histogram {
    const held = this.#hold({ name, help, type: "histogram", bounds, series: new Map() });
    return {
      observe: (value, labels = {}) => {
        const series = seriesOf(held, labels);
        series.value += value;
        series.count++;
        bounds.forEach((bound, index) => {
          if (value <= bound) series.buckets[index] = (series.buckets[index] ?? 0) + 1;
        });
      },
      forget: (labels) => forget(held, labels),
    };
  }

  /** @param collect called for each scrape; cheap, synchronous */
  collect(collect: () => Family[]): void {
    this.#collectors.push(collect);
  }

  families(): Family[] {
    const held = this.#held.map(({ name, help, type, bounds, series }) => {
      const all = [...series.values()];
      const samples = type === "counter" ? all : all.flatMap((one) => histogramSamples(one, bounds));
      return { name, help, type, samples };
    });
    return [...held, ...this.#collectors.flatMap((collect) => collect())];
  }

  #hold(held: Held): Held {
    this.#held.push(held);
    return held;
  }
}

function seriesOf({ series, bounds }: Held, labels: Labels): Series {
  const key = JSON.stringify(labels);
  let found = series.get(key);
  if (!found) {
    found = { labels: { ...labels }, value: 0, buckets: bounds.map(() => 0), count: 0 };
    series.set(key, found);
  }
  return found;
}

function forget({ series }: Held, labels: Labels): void {
  const wanted = Object.entries(labels);
  for (const [key, one] of series) {
    if (wanted.every(([name, value]) => one.labels[name] === value)) series.delete(key);
  }
}

function histogramSamples({ labels, value, buckets, count }: Series, bounds: readonly number[]): Sample[] {
  const bucket = (le: string, below: number): Sample => ({
    suffix: "_bucket",
    labels: { ...labels, le },
    value: below,
  });
  return [
    ...bounds.map((bound, index) => bucket(String(bound), buckets[index] ?? 0)),
    bucket("+Inf", count),
    { suffix: "_sum", labels, value },
    { suffix: "_count", labels, value: count },
  ];
}
