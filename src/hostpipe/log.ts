import { appendFileSync, renameSync, statSync } from "node:fs";

const largest = 16 * 2 ** 20;

/**
 * What came through the pipe and what became of it: `TIME NUMBER WORD TEXT`, a record a line. Words: `run`, `out`, `err`, `exit`,
 * `drop`. 0600; the file before is kept as `.1`.
 */
export class PipeLog {
  readonly #path: string;
  readonly #echo: (record: string) => void;
  #bytes: number;

  constructor(path: string, echo: (record: string) => void) {
    this.#path = path;
    this.#echo = echo;
    this.#bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  }

  write(time: number, number: number, word: "run" | "out" | "err" | "exit" | "drop", text: string): void {
    const record = `${new Date(time).toISOString()} ${number} ${word} ${text}\n`;
    this.#bytes += Buffer.byteLength(record);
    if (this.#bytes > largest) {
      renameSync(this.#path, `${this.#path}.1`);
      this.#bytes = Buffer.byteLength(record);
    }
    appendFileSync(this.#path, record, { mode: 0o600 });
    this.#echo(record);
  }
}
