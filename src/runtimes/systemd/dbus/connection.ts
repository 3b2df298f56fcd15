import { connect, type Socket } from "node:net";
import { onAbort } from "../../../kube/abort.ts";
import { encodeMessage, type Message, MessageParser } from "./message.ts";
import type { DBusValue } from "./wire.ts";

/** What the other side answered with, by its name (`org.freedesktop.systemd1.NoSuchUnit`). */
export class DBusError extends Error {
  readonly error: string;

  constructor(error: string, message: string) {
    super(message);
    this.name = "DBusError";
    this.error = error;
  }
}

/** The bus does not answer, or not any more. */
export class DBusLost extends Error {
  override readonly name = "DBusLost";
}

export interface MethodCall {
  destination: string;
  path: string;
  interface: string;
  member: string;
  signature?: string;
  body?: DBusValue[];
}

/** Nothing that is asked of a bus here takes longer. ms */
const answerWithin = 30_000;
const longestGreeting = 4096;

interface Waiting {
  resolve(body: DBusValue[]): void;
  reject(error: Error): void;
}

/** A connection to a message bus: calls and signals, and no more. */
export class BusConnection {
  readonly #socket: Socket;
  readonly #parser = new MessageParser();
  readonly #waiting = new Map<number, Waiting>();
  readonly #signals = new Set<(message: Message) => void>();
  readonly #closed = new Set<() => void>();
  #serial = 0;
  #over = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#hear(chunk));
    socket.on("error", () => {}); // "close" follows
    socket.once("close", () => this.#end());
    socket.resume();
  }

  /**
   * @param path of the bus' unix socket
   * @throws {DBusLost}
   */
  static async open(path: string, signal: AbortSignal): Promise<BusConnection> {
    const socket = connect(path);
    const forget = onAbort(signal, () => socket.destroy(new DBusLost("broken off")));
    try {
      await greet(socket);
      const bus = new BusConnection(socket);
      await bus.call({ ...ofTheBus, member: "Hello" });
      return bus;
    } catch (cause) {
      socket.destroy();
      throw new DBusLost(`D-Bus at ${path} does not answer: ${(cause as Error).message}`, { cause });
    } finally {
      forget();
    }
  }

  /** @throws {DBusError} what was answered; {DBusLost} */
  call(call: MethodCall): Promise<DBusValue[]> {
    return new Promise((resolve, reject) => {
      if (this.#over) return reject(new DBusLost("the connection to D-Bus is closed"));
      const serial = ++this.#serial;
      let bytes: Buffer;
      try {
        bytes = encodeMessage({ kind: "call", serial, ...call });
      } catch (error) {
        return reject(error as Error);
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(serial);
        reject(new DBusLost(`no answer to ${call.member} within ${answerWithin / 1000} s`));
      }, answerWithin);
      const settle = () => {
        clearTimeout(timer);
        this.#waiting.delete(serial);
      };
      this.#waiting.set(serial, {
        resolve(body) {
          settle();
          resolve(body);
        },
        reject(error) {
          settle();
          reject(error);
        },
      });
      this.#socket.write(bytes);
    });
  }

  /** Asks the bus for the signals that a rule names, and hears them until the connection ends. */
  async match(rule: string): Promise<void> {
    await this.call({ ...ofTheBus, member: "AddMatch", signature: "s", body: [rule] });
  }

  /** Calls back with every signal; the returned function takes that back. */
  onSignal(callback: (message: Message) => void): () => void {
    this.#signals.add(callback);
    return () => this.#signals.delete(callback);
  }

  onClose(callback: () => void): void {
    if (this.#over) callback();
    else this.#closed.add(callback);
  }

  close(): void {
    this.#socket.destroy();
    this.#end();
  }

  #hear(chunk: Buffer): void {
    let messages: Message[];
    try {
      messages = this.#parser.push(chunk);
    } catch {
      this.#socket.destroy();
      return;
    }
    for (const message of messages) this.#take(message);
  }

  #take(message: Message): void {
    if (message.kind === "signal") {
      for (const callback of [...this.#signals]) callback(message);
      return;
    }
    const waiting = this.#waiting.get(message.replyTo ?? 0);
    if (message.kind === "return") waiting?.resolve(message.body ?? []);
    else if (message.kind === "error") {
      const [text] = message.body ?? [];
      waiting?.reject(new DBusError(message.error ?? "", typeof text === "string" ? text : (message.error ?? "")));
    }
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    for (const { reject } of [...this.#waiting.values()]) reject(new DBusLost("the connection to D-Bus was lost"));
    this.#signals.clear();
    for (const callback of this.#closed) callback();
  }
}

const ofTheBus = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;

/** SASL: we are who the kernel says that we are. */
function greet(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    const fail = (error: Error) => reject(error);
    const closed = () => reject(new Error("it closed the connection"));
    const hear = (chunk: Buffer) => {
      said += chunk.toString("latin1");
      if (!said.includes("\r\n")) {
        if (said.length > longestGreeting) socket.destroy(new Error("it is no D-Bus"));
        return;
      }
      socket.off("data", hear);
      socket.off("error", fail);
      socket.off("close", closed);
      if (!said.startsWith("OK ")) return reject(new Error(`it refuses us: ${said.trim()}`));
      // Nothing comes before the first call.
      socket.pause();
      socket.write("BEGIN\r\n");
      resolve();
    };
    socket.on("data", hear);
    socket.once("error", fail);
    socket.once("close", closed);
    const id = Buffer.from(String(process.getuid?.() ?? 0)).toString("hex");
    socket.once("connect", () => socket.write(`\0AUTH EXTERNAL ${id}\r\n`));
  });
}
