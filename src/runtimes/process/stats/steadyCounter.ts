/**
 * Makes a counter of what is summed up over processes that come and go. The sum falls short for one reading where a child ended
 * while it was read, and for ever where nobody waited for a child (SIGCHLD ignored): its time is gone from the kernel's books.
 * The first mends itself, the second is kept here; the counter never runs backwards.
 */
export class SteadyCounter {
  #offset = 0;
  #last = 0;
  /** The lowest reading since the sum fell short. */
  #low: number | undefined;

  /** @param sum as it was read @returns the counter */
  next(sum: number): number {
    let value = sum + this.#offset;
    if (value < this.#last) {
      if (this.#low === undefined) {
        this.#low = value;
        return this.#last;
      }
      // Short twice: it will not come back.
      const lost = this.#last - Math.min(this.#low, value);
      this.#offset += lost;
      value += lost;
    }
    this.#low = undefined;
    this.#last = value;
    return value;
  }
}
