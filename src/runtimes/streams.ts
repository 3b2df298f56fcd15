import type { Readable, Writable } from "node:stream";

/** What is run inside a container that runs already (`kubectl exec`, exec probes, hooks). */
export interface ExecRequest {
  /** Never empty, no shell involved; looked up in the container's PATH where it has no slash. */
  argv: string[];
  /** Hold its standard input open; otherwise it is at its end at once. */
  stdin: boolean;
  /** A terminal for it: stdout and stderr are one stream then. */
  tty: boolean;
}

/** How to join a container's main process (`kubectl attach`). */
export interface AttachRequest {
  /** Only where the container holds its standard input open. */
  stdin: boolean;
}

/** How a command in a container ended. */
export interface StreamsEnd {
  /** 0 to 255; 128 + signal for a signal; 126 and 127 as a shell has them, with `message`. */
  exitCode: number;
  signal?: number;
  message?: string;
}

/**
 * The streams of a command in a container, or of its main process. Backpressure holds both ways: who does not read stops the
 * writer, and nothing is dropped.
 */
export interface ContainerStreams {
  /** `end()` closes the command's standard input. Undefined where none was asked for. */
  readonly stdin?: Writable;
  readonly stdout: Readable;
  /** Undefined on a terminal. */
  readonly stderr?: Readable;
  /** Of the terminal; without effect where there is none. */
  resize(rows: number, columns: number): void;
  /**
   * Resolves when the command has ended; what it wrote may still be to read. For attach: when the container ended.
   * @throws {HostletError} the connection to it was lost
   */
  readonly ended: Promise<StreamsEnd>;
  /** Lets go. A command started by exec ends with its whole tree; a container that was attached to runs on. Idempotent. */
  close(): void;
}
