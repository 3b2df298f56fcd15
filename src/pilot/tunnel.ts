import { type ChildProcess, spawn } from "node:child_process";
import { type Clock, sleep } from "../clock.ts";
import { HostletError } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";

export interface TunnelTarget {
  user: string | undefined;
  host: string;
  port: number | undefined;
}

/** `ssh://[user@]host[:port]`. @throws {HostletError} ConfigInvalid */
export function parseTunnel(text: string): TunnelTarget {
  const match =
    /^ssh:\/\/(?:([A-Za-z0-9_.-]+)@)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*)(?::(\d{1,5}))?\/?$/.exec(text);
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  if (!match || (port !== undefined && (port < 1 || port > 65_535))) {
    throw new HostletError("ConfigInvalid", `--tunnel: must be ssh://[USER@]HOST[:PORT], not ${JSON.stringify(text)}`);
  }
  return { user: match[1], host: match[2]!.replace(/^\[|\]$/g, ""), port };
}

/** What `ssh` is called with. No shell is involved. */
export function sshArguments(
  target: TunnelTarget,
  remote: { bind: string; port: number },
  localPort: number,
): string[] {
  const options = {
    BatchMode: "yes",
    ExitOnForwardFailure: "yes",
    ServerAliveInterval: "15",
    ServerAliveCountMax: "3",
    ConnectTimeout: "20",
    // A connection of the user's that is shared would outlive, or end, this one.
    ControlPath: "none",
    // For a port that was asked for ssh says nothing at INFO; a user's own LogLevel may hide the rest.
    LogLevel: remote.port === 0 ? "INFO" : "DEBUG1",
  };
  return [
    ...["-N", "-T"],
    ...Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
    ...(target.port === undefined ? [] : ["-p", String(target.port)]),
    ...["-R", `${remote.bind.includes(":") ? `[${remote.bind}]` : remote.bind}:${remote.port}:127.0.0.1:${localPort}`],
    "--",
    target.user === undefined ? target.host : `${target.user}@${target.host}`,
  ];
}

export interface TunnelOptions {
  target: TunnelTarget;
  /** Address at the far end on which the cluster finds the node; other than loopback needs sshd's GatewayPorts. */
  bind: string;
  localPort: number;
  /** @default ssh */
  program?: string;
  clock: Clock;
  log: Logger;
  /** The far end's port is another one now. */
  moved(port: number): void;
}

/** How long a first connection may take. */
const firstMs = 60_000;
const firstRetryMs = 1_000;
const lastRetryMs = 60_000;

/** A port of a host that the cluster can reach, passed on to one of this host by `ssh -R`; kept alive until it is stopped. */
export class SshTunnel {
  readonly #options: TunnelOptions;
  readonly #abort = new AbortController();
  #child: ChildProcess | undefined;
  #port = 0;
  #done: Promise<void> = Promise.resolve();

  constructor(options: TunnelOptions) {
    this.#options = options;
  }

  /**
   * @returns the port at the far end: one that was free there, so that no two nodes collide
   * @throws {HostletError} ListenFailed, with ssh's words
   */
  async start(): Promise<number> {
    const { clock, target } = this.#options;
    const connected = this.#connect(0);
    const late = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(firstMs)]);
    const port = await Promise.race([connected.port, sleep(clock, firstMs, late).catch(() => undefined)]);
    if (port === undefined) {
      connected.kill();
      const says = await connected.ended;
      throw new HostletError("ListenFailed", `the tunnel to ${target.host} can't be had: ${says || "no answer"}`);
    }
    this.#port = port;
    this.#done = this.#keep(connected.ended);
    return port;
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#child?.kill("SIGTERM");
    await this.#done;
  }

  async #keep(ended: Promise<string>): Promise<void> {
    const { clock, log, moved } = this.#options;
    let says = await ended;
    for (let tries = 0; !this.#abort.signal.aborted; tries++) {
      log.warn({ says, tries }, "the tunnel is broken; connecting again");
      await sleep(clock, Math.min(lastRetryMs, firstRetryMs * 2 ** tries), this.#abort.signal).catch(() => {});
      if (this.#abort.signal.aborted) return;
      // The same port as before, so that nobody has to learn another; where the far end does not give it, any.
      const taken = /forwarding failed for listen port/.test(says);
      const connected = this.#connect(taken ? 0 : this.#port);
      const port = await connected.port;
      if (port !== undefined) {
        tries = -1;
        if (port !== this.#port) moved(port);
        this.#port = port;
        log.info({ port }, "the tunnel is there again");
      }
      says = await connected.ended;
    }
  }

  #connect(wanted: number): { port: Promise<number | undefined>; ended: Promise<string>; kill(): void } {
    const { target, bind, localPort, program = "ssh" } = this.#options;
    const args = sshArguments(target, { bind, port: wanted }, localPort);
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    let says = "";
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("close", () => resolve(lastWords(says)));
    });
    const port = new Promise<number | undefined>((resolve) => {
      child.stderr?.on("data", (chunk: Buffer) => {
        says = `${says}${chunk.toString()}`.slice(-8000);
        const allocated = /Allocated port (\d+) for remote forward/.exec(says)?.[1];
        if (allocated !== undefined) resolve(Number(allocated));
        else if (wanted > 0 && /remote forward success for/.test(says)) resolve(wanted);
      });
      void ended.then(() => resolve(undefined));
    });
    return { port, ended, kill: () => void child.kill("SIGTERM") };
  }
}

function lastWords(text: string): string {
  const lines = text.split("\n").map((line) => line.trim());
  return lines
    .filter(
      (line) =>
        line !== "" && !/^(debug\d|OpenSSH_|Allocated port|Authenticated to|Transferred:|Bytes per second)/.test(line),
    )
    .slice(-3)
    .join("; ");
}
