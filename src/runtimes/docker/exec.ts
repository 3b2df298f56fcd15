import type { AttachRequest, ContainerStreams, ExecRequest, StreamsEnd } from "../streams.ts";
import type { EngineClient } from "./engineClient.ts";
import { EngineError } from "./engineError.ts";
import { killTree } from "./killTree.ts";
import { startFailure } from "./observed.ts";
import { streamsOver } from "./streams.ts";

interface ExecState {
  Running: boolean;
  ExitCode: number | null;
  Pid: number;
}

/** How long an engine may take to notice that a command has started, or has ended. ms */
const noticeWithin = 10_000;
const lookEvery = 25;

/** @param gone whether the container has ended, and its commands with it */
export async function execIn(
  client: EngineClient,
  engineID: string,
  { argv, stdin, tty }: ExecRequest,
  gone: () => boolean,
  signal: AbortSignal,
): Promise<ContainerStreams> {
  const { Id: id } = await client.json<{ Id: string }>({
    method: "POST",
    path: `/containers/${engineID}/exec`,
    body: { Cmd: argv, AttachStdin: stdin, AttachStdout: true, AttachStderr: true, Tty: tty },
    signal,
  });
  const state = () => client.json<ExecState>({ method: "GET", path: `/exec/${id}/json` });
  const call = { method: "POST", path: `/exec/${id}/start`, body: { Detach: false, Tty: tty } } as const;
  const connection = await client.hijack({ ...call, signal });
  let over = false;
  let killed = false;
  let message: string | undefined;
  return streamsOver({
    ...{ connection, stdin, tty, signal, endsInput: true },
    isEngine(payload) {
      if (!/^OCI runtime exec failed: /.test(payload.toString("latin1", 0, 64))) return false;
      message = payload.toString().trim();
      return true;
    },
    async end(): Promise<StreamsEnd> {
      // Its streams end a moment before the engine has its exit code.
      const found = await eventually(state, ({ Running }) => !Running);
      over = true;
      if (message !== undefined) return { exitCode: startFailure(message), message };
      const { ExitCode: exitCode } = found;
      if (exitCode === null) throw new EngineError(0, "the container engine does not know how the command ended");
      return { exitCode, ...(exitCode === 137 && (killed || gone()) && { signal: 9 }) };
    },
    async resize(rows, columns) {
      const query = { h: rows, w: columns };
      await eventually(
        () =>
          client.json({ method: "POST", path: `/exec/${id}/resize`, query }).then(
            () => true,
            () => over, // it has not started yet
          ),
        (done) => done,
      ).catch(() => {});
    },
    abandon() {
      // An engine lets a command run on whose client has gone.
      if (over) return;
      killed = true;
      void ignore(state().then(({ Running, Pid }) => Running && killTree(Pid)));
    },
  });
}

/** Asks until the answer will do, or for so long. */
async function eventually<T>(ask: () => Promise<T>, enough: (answer: T) => boolean): Promise<T> {
  const until = Date.now() + noticeWithin;
  for (;;) {
    const answer = await ask();
    if (enough(answer) || Date.now() > until) return answer;
    await new Promise((resolve) => setTimeout(resolve, lookEvery));
  }
}

export async function attachTo(
  client: EngineClient,
  engineID: string,
  tty: boolean,
  { stdin, once }: AttachRequest & { once: boolean },
  ended: Promise<StreamsEnd>,
  signal: AbortSignal,
): Promise<ContainerStreams> {
  const connection = await client.hijack({
    method: "POST",
    path: `/containers/${engineID}/attach`,
    query: { stream: true, stdout: true, stderr: true, stdin },
    signal,
  });
  return streamsOver({
    ...{ connection, stdin, tty, signal, endsInput: once },
    end: () => ended,
    async resize(rows, columns) {
      const query = { h: rows, w: columns };
      await ignore(client.json({ method: "POST", path: `/containers/${engineID}/resize`, query }));
    },
    abandon() {},
  });
}

/** A terminal's size and the end of what has ended already are nobody's trouble. */
async function ignore(work: Promise<unknown>): Promise<void> {
  await work.catch(() => {});
}
