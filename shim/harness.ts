import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const here = import.meta.dirname;

/** The checked-in binary, or on another architecture one made by the host's cc, as the agent makes it. */
function findBinary(): string {
  const built = join(here, "bin", `hostlet-shim-${process.arch}`);
  return existsSync(built) ? built : compile(join(mkdtempSync(join(tmpdir(), "shim-bin-")), "hostlet-shim"));
}

export function compile(path: string, flags: string[] = []): string {
  const result = spawnSync("cc", ["-O2", "-Wall", "-Wextra", "-Werror", ...flags, "-o", path, join(here, "shim.c")]);
  if (result.status !== 0) throw new Error(`cc: ${result.error?.message ?? result.stderr.toString()}`);
  return path;
}

export const binary = findBinary();

/** A control connection: lines first, frames once `attach` was answered. */
export class Control {
  readonly socket: Socket;
  readonly lines: string[] = [];
  /** What came in frames, by stream. */
  readonly output: Record<number, Buffer> = { 1: Buffer.alloc(0), 2: Buffer.alloc(0), 3: Buffer.alloc(0) };
  readonly ended: Promise<void>;
  #rest = Buffer.alloc(0);
  #attached = false;
  #wake: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    this.ended = new Promise((resolve) => {
      socket.on("close", () => {
        resolve();
        this.#changed();
      });
    });
    socket.on("data", (data: Buffer) => this.#received(data));
  }

  say(line: string): void {
    this.socket.write(`${line}\n`);
  }

  frame(type: number, data: string | Buffer): void {
    const head = Buffer.alloc(5);
    head[0] = type;
    head.writeUInt32BE(data.length, 1);
    this.socket.write(Buffer.concat([head, Buffer.from(data)]));
  }

  /** Resolves with the oldest line that begins so and was not taken yet; rejects when the connection ends without one. */
  async line(beginning: string): Promise<string> {
    await this.until(() => this.lines.some((line) => line.startsWith(beginning)), `line '${beginning}'`);
    const index = this.lines.findIndex((line) => line.startsWith(beginning));
    return this.lines.splice(index, 1)[0] ?? "";
  }

  async ask(line: string): Promise<string> {
    this.say(line);
    await this.until(() => this.lines.some((answer) => /^(ok|err)/.test(answer)), `answer to '${line}'`);
    const index = this.lines.findIndex((answer) => /^(ok|err)/.test(answer));
    return this.lines.splice(index, 1)[0] ?? "";
  }

  /** Resolves once what this connection received satisfies the condition. */
  async until(condition: () => boolean, what: string): Promise<void> {
    while (!condition()) {
      if (this.socket.closed) throw new Error(`the connection ended without ${what}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #received(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    while (this.#attached ? this.#takeFrame() : this.#takeLine());
    this.#changed();
  }

  #takeLine(): boolean {
    const end = this.#rest.indexOf(10);
    if (end < 0) return false;
    const line = this.#rest.subarray(0, end).toString();
    this.#rest = this.#rest.subarray(end + 1);
    this.lines.push(line);
    this.#attached = this.#attaching && line === "ok";
    return true;
  }

  #takeFrame(): boolean {
    if (this.#rest.length < 5) return false;
    const end = 5 + this.#rest.readUInt32BE(1);
    if (this.#rest.length < end) return false;
    const stream = this.#rest[0] ?? 0;
    this.output[stream] = Buffer.concat([this.output[stream] ?? Buffer.alloc(0), this.#rest.subarray(5, end)]);
    this.#rest = this.#rest.subarray(end);
    return true;
  }

  #attaching = false;

  async attach(stdin: boolean): Promise<string> {
    return await this.takeOver(stdin ? "attach stdin\n" : "attach\n");
  }

  /** Asks for what is answered with frames from then on. */
  async takeOver(request: string): Promise<string> {
    this.#attaching = true;
    this.socket.write(request);
    await this.until(() => this.lines.some((answer) => /^(ok|err)/.test(answer)), `answer to '${request}'`);
    const index = this.lines.findIndex((answer) => /^(ok|err)/.test(answer));
    return this.lines.splice(index, 1)[0] ?? "";
  }
}

export interface ShimOptions {
  options?: string[];
  env?: Record<string, string>;
  /** Another shim's root, to share its directories. */
  root?: string;
  /** argv[0] and what follows; default: the file and `args`. */
  argv?: string[];
  binary?: string;
}

/** Every shim and directory of a test, for `cleanUp`. */
const shims: Shim[] = [];
const roots: string[] = [];

export function temporaryRoot(): string {
  const root = mkdtempSync(join(tmpdir(), "shim-"));
  roots.push(root);
  mkdirSync(join(root, "D"), { mode: 0o700 });
  mkdirSync(join(root, "E"), { mode: 0o700 });
  return root;
}

export class Shim {
  readonly root: string;
  readonly child: ChildProcess;
  readonly control: Control;
  readonly gone: Promise<number | null>;
  #started: Promise<{ pid: number; starttime: string }> | undefined;

  constructor(payload: string[], options: ShimOptions = {}) {
    this.root = options.root ?? temporaryRoot();
    this.child = spawn(
      options.binary ?? binary,
      [...shimArguments(this.root, options.options), "--", payload[0] ?? "", ...(options.argv ?? payload)],
      {
        detached: true,
        stdio: ["ignore", "ignore", "ignore", "pipe"],
        env: { PATH: process.env.PATH ?? "", ...options.env },
      },
    );
    this.control = new Control(this.child.stdio[3] as Socket);
    this.gone = once(this.child, "exit").then(([code]) => code as number | null);
    shims.push(this);
  }

  static sh(script: string, options: ShimOptions = {}): Shim {
    return new Shim(["/bin/sh", "-c", script], { argv: ["sh", "-c", script], ...options });
  }

  /** Resolves with the payload's pid and start time. */
  started(): Promise<{ pid: number; starttime: string }> {
    this.#started ??= this.control.line("started").then((line) => {
      const [, pid, starttime] = line.split(" ");
      return { pid: Number(pid), starttime: starttime ?? "" };
    });
    return this.#started;
  }

  /** Resolves with "exited 0", "signaled 9", "error 2". */
  async exited(): Promise<string> {
    return (await this.control.line("exited")).slice("exited ".length);
  }

  async connect(): Promise<Control> {
    await this.started();
    const socket = connect(join(this.root, "D/sock"));
    await once(socket, "connect");
    return new Control(socket);
  }

  read(name: string): string {
    return readFileSync(join(this.root, name), "utf8");
  }

  record(name: string): Record<string, string> {
    const lines = this.read(name).trimEnd().split("\n");
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
  }

  exitRecord(): Record<string, string> {
    return this.record("E/id.0");
  }

  logFiles(): string[] {
    const number = (name: string) => Number.parseInt(name, 10);
    return readdirSync(join(this.root, "D/logs")).sort((a, b) => number(a) - number(b));
  }

  /** What the logs hold, as latin1: a character is a byte. Of one that is being written, the lines that are whole. */
  log(): { stream: string; tag: string; text: string }[] {
    const all = this.logFiles().map((name) => readFileSync(join(this.root, "D/logs", name), "latin1"));
    const lines = all.join("").split("\n");
    const rest = lines.pop();
    const { exitCode, signalCode } = this.child;
    if (rest !== "" && (exitCode !== null || signalCode !== null)) {
      throw new Error("the log ends in the middle of a line");
    }
    return lines.map((line) => {
      const match = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) ([PF]) (.*)$/s.exec(line);
      if (!match) throw new Error(`not a CRI line: ${line.slice(0, 100)}`);
      return { stream: match[1] ?? "", tag: match[2] ?? "", text: match[3] ?? "" };
    });
  }

  /** The bytes that a reader of the log gets back, as latin1. */
  logged(stream: "stdout" | "stderr"): string {
    const own = this.log().filter((line) => line.stream === stream);
    return own.map((line) => line.text + (line.tag === "F" ? "\n" : "")).join("");
  }
}

export function shimArguments(root: string, options: string[] = []): string[] {
  return ["run", "--dir", join(root, "D"), "--exits", join(root, "E"), "--id", "id.0", "--log-dir", "logs", ...options];
}

/** Ends what the test left running. */
export async function cleanUp(): Promise<void> {
  for (const shim of shims.splice(0)) {
    if (shim.child.exitCode === null && shim.child.signalCode === null) {
      shim.control.say("kill");
      await shim.gone;
    }
    shim.control.socket.destroy();
  }
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
}

export function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

/** The pids of living processes whose environment has this entry. */
export function withEnvironment(entry: string): number[] {
  const pids = readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0);
  return pids.filter((pid) => {
    try {
      return isAlive(pid) && readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(entry);
    } catch {
      return false;
    }
  });
}

export function childrenOf(parent: number): number[] {
  const pids = readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0);
  return pids.filter((pid) => {
    try {
      return new RegExp(`\\) . ${parent} `).test(readFileSync(`/proc/${pid}/stat`, "latin1"));
    } catch {
      return false;
    }
  });
}
