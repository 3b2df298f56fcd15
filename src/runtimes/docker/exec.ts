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

export async function execIn(
  client: EngineClient,
  engineID: string,
  { argv, stdin, tty }: ExecRequest,
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
  return streamsOver({
    ...{ connection, stdin, tty, signal },
    async end(): Promise<StreamsEnd> {
      const { ExitCode } = await state();
      over = true;
      return endOf(ExitCode);
    },
    resize(rows, columns) {
      void ignore(client.json({ method: "POST", path: `/exec/${id}/resize`, query: { h: rows, w: columns } }));
    },
    abandon() {
      // An engine lets a command run on whose client has gone.
      if (!over) void ignore(state().then(({ Running, Pid }) => Running && killTree(Pid)));
    },
  });
}

export async function attachTo(
  client: EngineClient,
  engineID: string,
  tty: boolean,
  { stdin }: AttachRequest,
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
    ...{ connection, stdin, tty, signal },
    end: () => ended,
    resize(rows, columns) {
      void ignore(
        client.json({ method: "POST", path: `/containers/${engineID}/resize`, query: { h: rows, w: columns } }),
      );
    },
    abandon() {},
  });
}

function endOf(exitCode: number | null): StreamsEnd {
  if (exitCode === null) throw new EngineError(0, "the container engine does not know how the command ended");
  return { exitCode };
}

/** How a command that could not be started ended, where the engine says so in an error. */
export function refusedExec(error: unknown): StreamsEnd | undefined {
  if (!(error instanceof EngineError) || error.status === 0) return undefined;
  const exitCode = startFailure(error.message);
  return exitCode === 128 ? undefined : { exitCode, message: error.message };
}

/** A terminal's size and the end of what has ended already are nobody's trouble. */
async function ignore(work: Promise<unknown>): Promise<void> {
  await work.catch(() => {});
}
