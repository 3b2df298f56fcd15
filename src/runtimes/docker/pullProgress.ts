/** A pull that takes longer says how far it is, this often. ms */
const every = 30_000;

/** Sums up the engine's lines about the layers of an image into a sentence now and then. */
export class PullProgress {
  readonly #image: string;
  readonly #say: (message: string) => void;
  readonly #now: () => number;
  readonly #layers = new Map<string, { current: number; total: number }>();
  #next: number;

  constructor(image: string, say: (message: string) => void, now: () => number) {
    this.#image = image;
    this.#say = say;
    this.#now = now;
    this.#next = now() + every;
  }

  took(line: { id?: string; status?: string; progressDetail?: { current?: number; total?: number } }): void {
    const { id, status, progressDetail: { current, total } = {} } = line;
    if (id !== undefined && status === "Downloading" && current !== undefined && total !== undefined) {
      this.#layers.set(id, { current, total });
    }
    if (this.#now() < this.#next || this.#layers.size === 0) return;
    this.#next = this.#now() + every;
    const sum = (of: "current" | "total") => [...this.#layers.values()].reduce((all, layer) => all + layer[of], 0);
    const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
    this.#say(`Pulling image "${this.#image}": ${megabytes(sum("current"))} of ${megabytes(sum("total"))}`);
  }
}
