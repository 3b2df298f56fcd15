import type { IncomingMessage } from "node:http";
import type { Duplex, Readable, Writable } from "node:stream";
import { HostletError } from "../../errors.ts";
import type { PodRef } from "../../kube/types.ts";
import type { Provider } from "../../providers/contract.ts";
import { FramedSocket } from "../../providers/interlink/wire/framedSocket.ts";
import { type Channel, channels } from "../../providers/interlink/wire/frames.ts";
import type { AttachRequest, ContainerStreams, ExecRequest } from "../../runtimes/streams.ts";
import type { UpgradeHandler } from "../http/exchange.ts";
import { accept } from "../http/server.ts";

/** What a client may ask of streams; looked at before it is believed. */
interface StreamRequest {
  pod?: PodRef;
  container?: string;
  request?: Partial<ExecRequest> & Partial<AttachRequest>;
  port?: number;
}

type Kind = "exec" | "attach" | "portForward";

/** Streams of the Provider's containers, for an end of ours. */
export function serveStreams(provider: Provider, kind: Kind): UpgradeHandler {
  return async (_request: IncomingMessage, socket: Duplex, head: Buffer, stopping: AbortSignal) => {
    const gone = new AbortController();
    const signal = AbortSignal.any([gone.signal, stopping]);
    accept(socket);
    if (head.length > 0) socket.unshift(head);
    const framed = new FramedSocket(socket);
    let far: { stdin?: Writable | undefined; resize?(rows: number, columns: number): void } | undefined;
    let asked = false;
    framed.listen({
      data(channel, payload) {
        if (channel !== channels.stdin || !far?.stdin || far.stdin.writableEnded) return true;
        if (payload.length === 0) far.stdin.end();
        else if (!far.stdin.write(Buffer.from(payload))) {
          far.stdin.once("drain", () => framed.resume());
          return false;
        }
        return true;
      },
      control(message) {
        const { resize } = message as { resize?: { rows?: unknown; columns?: unknown } };
        if (resize) far?.resize?.(Number(resize.rows) || 24, Number(resize.columns) || 80);
        else if (!asked) {
          asked = true;
          void serve(provider, kind, message as StreamRequest, framed, signal, (found) => {
            far = found;
          });
        }
      },
      closed: () => gone.abort(new Error("the client went away")),
    });
  };
}

async function serve(
  provider: Provider,
  kind: Kind,
  message: StreamRequest,
  framed: FramedSocket,
  signal: AbortSignal,
  ready: (far: { stdin?: Writable | undefined; resize?(rows: number, columns: number): void }) => void,
): Promise<void> {
  try {
    const ref = checked(provider, message.pod);
    const ability = provider.capabilities()[kind];
    if (ability !== true) throw new HostletError("NotSupported", ability);
    if (kind === "portForward") {
      const connection = await provider.portForward!(ref, Number(message.port), signal);
      signal.addEventListener("abort", () => connection.destroy(), { once: true });
      connection.on("error", () => {});
      ready({ stdin: connection });
      await framed.control({ ok: true });
      await pump(connection, channels.stdout, framed);
      await framed.control({ end: { exitCode: 0 } });
    } else await serveContainer(await open(provider, kind, ref, message, signal), framed, signal, ready);
  } catch (error) {
    const code = error instanceof HostletError ? error.code : undefined;
    await framed.control({ error: { code, message: error instanceof Error ? error.message : String(error) } });
  }
  framed.end();
}

function open(
  provider: Provider,
  kind: "exec" | "attach",
  ref: PodRef,
  message: StreamRequest,
  signal: AbortSignal,
): Promise<ContainerStreams> {
  const { stdin = false, tty = false, argv = [] } = message.request ?? {};
  const container = String(message.container ?? "");
  if (kind === "attach") return provider.attach!(ref, container, { stdin }, signal);
  if (argv.length === 0) throw new HostletError("ConfigInvalid", "exec: a command is needed");
  return provider.exec!(ref, container, { argv: argv.map(String), stdin, tty }, signal);
}

async function serveContainer(
  streams: ContainerStreams,
  framed: FramedSocket,
  signal: AbortSignal,
  ready: (far: { stdin?: Writable | undefined; resize?(rows: number, columns: number): void }) => void,
): Promise<void> {
  signal.addEventListener("abort", () => streams.close(), { once: true });
  if (signal.aborted) streams.close();
  streams.stdin?.on("error", () => {}); // the command no longer reads: its end says so
  ready(streams);
  await framed.control({ ok: true, stdin: streams.stdin !== undefined, stderr: streams.stderr !== undefined });
  try {
    const pumps = [pump(streams.stdout, channels.stdout, framed)];
    if (streams.stderr) pumps.push(pump(streams.stderr, channels.stderr, framed));
    const end = await streams.ended;
    await Promise.all(pumps);
    await framed.control({ end });
  } catch (error) {
    await framed.control({ lost: (error as Error).message });
  } finally {
    streams.close();
  }
}

async function pump(source: Readable, channel: Channel, framed: FramedSocket): Promise<void> {
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) await framed.send(channel, chunk);
  } catch {
    // It broke off because one side went away: the end of the command, or of the connection, says so.
  }
  await framed.send(channel, new Uint8Array());
}

/** Only a pod that is here, by its UID. */
function checked(provider: Provider, ref: PodRef | undefined): PodRef {
  const found = provider.list().find(({ metadata }) => metadata?.uid !== undefined && metadata.uid === ref?.uid);
  const { namespace, name, uid } = found?.metadata ?? {};
  if (!namespace || !name || !uid)
    throw new HostletError("NotFound", `pod "${ref?.name ?? ""}" not found on this node`);
  return { namespace, name, uid };
}
