import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { onLines, parseNews, type ShimNews } from "./control.ts";

/** Who is told what becomes of a shim. */
export interface SpawnListener {
  news(news: ShimNews): void;
  /** Nothing was started. The last call, with the error of spawn or execve (E2BIG, EAGAIN, ENOMEM, ENOENT, ...). */
  failed(error: Error): void;
  /** No more news come: the shim is gone, or the spawner, of whose shims nothing is known then. The last call. */
  gone(): void;
}

/** The spawner's own limit for a request; the kernel passes on less. */
const longestRequest = 8 * 1024 * 1024;

function errnoError(errno: number): NodeJS.ErrnoException {
  const code = Object.entries(constants.errno).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`;
  return Object.assign(new Error(`the shim could not be executed: ${code}`), { code, errno });
}

/**
 * Length (4 bytes, big-endian), then with a NUL behind each: id, number of arguments, arguments, environment.
 * @throws E2BIG; an error where a string has a NUL
 */
export function encodeRequest(id: number, args: readonly string[], env: Readonly<Record<string, string>>): Buffer {
  const fields = [String(id), String(args.length), ...args];
  for (const [name, value] of Object.entries(env)) fields.push(`${name}=${value}`);
  if (fields.some((field) => field.includes("\0"))) throw new Error("a string with a NUL can't be passed to a program");
  const body = `${fields.join("\0")}\0`;
  const length = Buffer.byteLength(body);
  if (length > longestRequest) throw errnoError(constants.errno.E2BIG);
  const request = Buffer.allocUnsafe(4 + length);
  request.writeUInt32BE(length);
  request.write(body, 4);
  return request;
}

/**
 * Starts shims through a small process, `hostlet-shim spawner`, in place of this large one, whose fork(2) takes
 * milliseconds. It is started when it is needed, again when it died, and ends with this process; the shims don't.
 */
export class Spawner {
  readonly #shim: () => string;
  #line: Line | undefined;

  constructor(shim: () => string) {
    this.#shim = shim;
  }

  /**
   * Starts a shim, which outlives this process.
   * @param args of `hostlet-shim run`
   */
  spawn(args: readonly string[], env: Readonly<Record<string, string>>, listener: SpawnListener): void {
    let line = this.#line;
    if (!line || line.over) {
      const child = spawn(this.#shim(), ["spawner"], {
        detached: true,
        cwd: "/",
        stdio: ["ignore", "ignore", "ignore", "pipe"],
        env: {},
      });
      if (child.pid === undefined) {
        child.once("error", (error) => listener.failed(error));
        return;
      }
      line = new Line(child);
      this.#line = line;
    }
    line.spawn(args, env, listener);
  }

  /** Lets go of all shims; they run on. Tells nobody. */
  stop(): void {
    this.#line?.close();
    this.#line = undefined;
  }
}

/** One spawner process, and the socket that it shares with the shims that it started. */
class Line {
  over = false;
  readonly #socket: Socket;
  readonly #listeners = new Map<number, SpawnListener>();
  #requests = 0;

  constructor(child: ChildProcess) {
    child.unref();
    child.once("exit", () => this.#end());
    this.#socket = child.stdio[3] as Socket;
    this.#socket.unref();
    onLines(this.#socket, (line) => this.#hear(line));
    this.#socket.on("error", () => {}); // "close" follows
    this.#socket.once("close", () => this.#end());
  }

  spawn(args: readonly string[], env: Readonly<Record<string, string>>, listener: SpawnListener): void {
    const id = this.#requests++;
    let request: Buffer;
    try {
      request = encodeRequest(id, args, env);
    } catch (error) {
      listener.failed(error as Error);
      return;
    }
    this.#listeners.set(id, listener);
    this.#socket.write(request);
  }

  close(): void {
    this.over = true;
    this.#listeners.clear();
    this.#socket.destroy();
  }

  #hear(line: string): void {
    const [number, word, rest] = line.split(" ");
    const id = Number(number);
    const listener = this.#listeners.get(id);
    const news = parseNews(word);
    if (news) {
      listener?.news(news);
      return;
    }
    this.#listeners.delete(id);
    if (word === "failed") listener?.failed(errnoError(Number(rest)));
    else listener?.gone();
  }

  /** Without the spawner nobody says that a shim is gone: whoever follows one asks it, from here on. */
  #end(): void {
    const listeners = [...this.#listeners.values()];
    this.close();
    for (const listener of listeners) listener.gone();
  }
}
