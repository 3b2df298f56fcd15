import type { Writable } from "node:stream";

/** What a command reads and writes; a terminal or, in tests, memory. */
export interface Io {
  stdin: AsyncIterable<Uint8Array | string>;
  stdout: Output;
  stderr: Output;
  env: NodeJS.ProcessEnv;
  /** Calls back at each SIGINT, SIGTERM and SIGHUP, and with SIGPIPE when nobody reads stdout any more. The result takes it back. */
  onSignal(callback: (signal: StopSignal) => void): () => void;
}
export type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGPIPE";

export interface Output extends Writable {
  isTTY?: boolean;
  hasColors?(env: NodeJS.ProcessEnv): boolean;
}

/** 128 + the signal's number, as a shell reports it. */
export const signalExitCode: Record<StopSignal, number> = { SIGHUP: 129, SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 };

const colors = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

/** `[pod/container] ` for each name, padded to one width; with colours where `stdout` shows them (NO_COLOR counts). */
export class Prefixes {
  readonly #width: number;
  readonly #colored: boolean;
  readonly #known = new Map<string, Buffer>();

  constructor(names: string[], output: Output, env: NodeJS.ProcessEnv) {
    this.#width = Math.max(0, ...names.map((name) => name.length));
    this.#colored = output.isTTY === true && output.hasColors?.(env) === true;
  }

  of(name: string): Buffer {
    let prefix = this.#known.get(name);
    if (!prefix) {
      const text = `[${name}] `.padEnd(this.#width + 3);
      const color = colors[this.#known.size % colors.length];
      prefix = Buffer.from(this.#colored ? `\x1b[${color}m${text}\x1b[0m` : text);
      this.#known.set(name, prefix);
    }
    return prefix;
  }
}

/** Says each thing once, on stderr; nothing where quiet. */
export class Notes {
  readonly #said = new Set<string>();
  readonly #output: Output;
  readonly #quiet: boolean;

  constructor(output: Output, quiet: boolean) {
    this.#output = output;
    this.#quiet = quiet;
  }

  say(text: string): void {
    if (this.#quiet || this.#said.has(text)) return;
    this.#said.add(text);
    this.#output.write(`${text}\n`);
  }
}

/** Waits while the reader is slower than the writer. */
export async function write(output: Output, chunk: Buffer, signal: AbortSignal): Promise<void> {
  if (output.write(chunk) || output.destroyed || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      output.off("drain", done).off("close", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    output.on("drain", done).on("close", done);
    signal.addEventListener("abort", done, { once: true });
  });
}
