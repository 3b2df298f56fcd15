import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A process of the benchmark, apart from the others so that CPU and memory are its own alone. */
export class Child {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #exit: Promise<number>;

  /**
   * @param name of the bundle beside this one
   * @param input what it gets as its first message
   * @param flags Node's own; none: as `node dist/hostlet.js` would run
   */
  constructor(name: string, input: unknown, flags: string[] = []) {
    this.#name = name;
    const file = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
    this.#process = fork(file, { execArgv: flags, stdio: "inherit" });
    this.#exit = new Promise((resolve) => this.#process.once("exit", (code) => resolve(code ?? -1)));
    this.#process.send(input as object);
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  /** The next message. @throws {Error} it ends instead */
  message<T>(): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#process.once("message", (message) => resolve(message as T));
      void this.#exit.then((code) => reject(new Error(`${this.#name} ended with ${code}`)));
    });
  }

  /** Tells it to do something. @returns what it answers @throws {Error} it can't, or ends instead */
  async ask<T>(action: string): Promise<T> {
    const answered = this.message<{ result?: T; error?: string }>();
    this.#process.send(action);
    const { result, error } = await answered;
    if (error !== undefined) throw new Error(`${this.#name}, ${action}: ${error}`);
    return result as T;
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exit;
  }

  /** Asks it to end by closing the channel, and waits for that. */
  async stop(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.#exit;
  }
}

/** In the child: its input. */
export function input<T>(): Promise<T> {
  return new Promise((resolve) => process.once("message", (message) => resolve(message as T)));
}

/** In the child: tells the parent. */
export function tell(message: object): void {
  process.send?.(message);
}

/** In the child: does what the parent asks for, and answers. */
export function answer(actions: object): void {
  const byName = new Map<string, () => Promise<unknown>>(Object.entries(actions));
  process.on("message", (action: string) => {
    const done = byName.get(action)?.() ?? Promise.reject(new Error("it does not know how"));
    done.then(
      (result) => tell({ result }),
      (error: unknown) => tell({ error: String(error) }),
    );
  });
}

/** In the child: resolves when the parent wants it to end, or is gone. */
export function toldToEnd(): Promise<void> {
  return new Promise((resolve) => process.once("disconnect", () => resolve()));
}
