import { closeSync, constants, openSync } from "node:fs";
import { connect, type Socket } from "node:net";
import type { Clock } from "../../clock.ts";

/** What a shim says of itself. */
export type ShimNews =
  | "started"
  /** The exit file is written. */
  | "exited"
  /** Somebody else had claimed the start. */
  | "lost";

export function parseNews(word: string | undefined): ShimNews | undefined {
  return word === "started" || word === "exited" || word === "lost" ? word : undefined;
}

/** Longer than any line of the protocol; more without a line break is not a shim. */
const longestLine = 4096;
const answerDeadline = 5_000;

/** Ends a connection on which something else than lines comes. */
export function onLines(socket: Socket, take: (line: string) => void): void {
  let rest = "";
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() as string;
    for (const line of lines) take(line);
    if (rest.length > longestLine) socket.destroy();
  });
}

export interface ShimListener {
  news(news: ShimNews): void;
  /** The connection is over, for whatever reason; called once, also after it was destroyed. */
  closed(): void;
}

/** Hears what a shim says on a connection, which never keeps the process alive. */
export function listenToShim(socket: Socket, listener: ShimListener): void {
  socket.unref();
  onLines(socket, (line) => {
    const news = parseNews(line.split(" ", 1)[0]);
    if (news) listener.news(news);
  });
  socket.on("error", () => {}); // "close" follows
  socket.on("close", () => listener.closed());
}

/**
 * Says a line of the control protocol to a shim, on a connection for it alone.
 * @returns its answer (`ok`, `err ERRNO`), or undefined where it could not be reached, or gave none in time
 */
export async function askShim(attemptDir: string, line: string, clock: Clock): Promise<string | undefined> {
  const socket = await connectToShim(attemptDir).catch(() => undefined);
  if (!socket) return undefined;
  return new Promise((resolve) => {
    const cancel = clock.after(answerDeadline, () => socket.destroy());
    let answer: string | undefined;
    socket.unref();
    onLines(socket, (said) => {
      if (parseNews(said.split(" ", 1)[0])) return;
      answer ??= said;
      socket.destroy();
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      cancel();
      resolve(answer);
    });
    socket.write(`${line}\n`);
  });
}

/**
 * Connects to the shim's socket in the attempt's directory, however long its path is: a socket path has 107 bytes, so
 * it is reached through a descriptor of the directory.
 * @throws the error of open(2) or connect(2)
 */
export function connectToShim(attemptDir: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const dir = openSync(attemptDir, constants.O_RDONLY | constants.O_DIRECTORY);
    const socket = connect(`/proc/self/fd/${dir}/sock`);
    socket.once("connect", () => {
      closeSync(dir);
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (error) => {
      closeSync(dir);
      reject(error);
    });
  });
}
