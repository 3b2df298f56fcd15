import type { Duplex } from "node:stream";
import { createWebSocketStream } from "ws";
import { HostletError } from "../../errors.ts";
import { type PodRef, podRef } from "../../kube/types.ts";
import type { Ability, ProviderCapabilities } from "../../providers/contract.ts";
import type { ContainerStreams, StreamsEnd } from "../../runtimes/streams.ts";
import { answer } from "../answer.ts";
import { findPod } from "../findPod.ts";
import type { Call, Route, RouteDeps } from "../route.ts";
import { parsePort } from "../streaming/portForward/forward.ts";
import { portForwardProtocol, servePortForward } from "../streaming/portForward/spdySession.ts";
import {
  oldestPortChannelProtocol,
  portChannelProtocols,
  servePortChannels,
} from "../streaming/portForward/webSocketSession.ts";
import { wantedStreams } from "../streaming/remoteCommand/query.ts";
import { serveRemoteCommand } from "../streaming/remoteCommand/serve.ts";
import { openSpdyChannels, spdyProtocols } from "../streaming/remoteCommand/spdyChannels.ts";
import {
  oldestWebSocketProtocol,
  openWebSocketChannels,
  webSocketProtocols,
} from "../streaming/remoteCommand/webSocketChannels.ts";
import { runCommand } from "../streaming/run.ts";
import { endStatus } from "../streaming/status.ts";
import { acceptSpdy, refuseProtocols, streamProtocols, upgradeOf } from "../streaming/upgrade.ts";
import { acceptWebSocket, offeredProtocols } from "../streaming/websocket/accept.ts";

/** Each path with and without the pod's UID. */
const ofContainer = (verb: string) => [
  `/${verb}/:namespace/:pod/:container`,
  `/${verb}/:namespace/:pod/:uid/:container`,
];
const ofPod = (verb: string) => [`/${verb}/:namespace/:pod`, `/${verb}/:namespace/:pod/:uid`];
const tunnelProtocol = `SPDY/3.1+${portForwardProtocol}`;

/** exec, attach, port-forward by SPDY/3.1 and by WebSocket; `run` without an upgrade. */
export function streamingRoutes(deps: RouteDeps): Route[] {
  const { provider, clock } = deps;

  const exec = async (call: Call, socket: Duplex, head: Buffer) => {
    const { pod, container } = target(deps, call, "exec");
    const argv = call.query.getAll("command");
    if (argv.length === 0) throw new HostletError("ConfigInvalid", "you must specify a command");
    const { stdin, tty } = wantedStreams(call.query);
    await remoteCommand(
      call,
      socket,
      head,
      (signal) => provider.exec!(pod, container, { argv, stdin, tty }, signal),
      endStatus,
    );
  };

  const attach = async (call: Call, socket: Duplex, head: Buffer) => {
    const { pod, container } = target(deps, call, "attach");
    const { stdin } = wantedStreams(call.query);
    // How the container ended is its own affair: attaching to it went well.
    const attached = () => endStatus({ exitCode: 0 });
    await remoteCommand(call, socket, head, (signal) => provider.attach!(pod, container, { stdin }, signal), attached);
  };

  /** What can't be is answered before the upgrade, in plain HTTP. */
  const remoteCommand = async (
    { request, query, signal }: Call,
    socket: Duplex,
    head: Buffer,
    open: (signal: AbortSignal) => Promise<ContainerStreams>,
    toStatus: (end: StreamsEnd) => ReturnType<typeof endStatus>,
  ) => {
    const wanted = wantedStreams(query);
    if (upgradeOf(request) === "spdy") {
      const offered = streamProtocols(request);
      const protocol = offered.length === 0 ? "channel.k8s.io" : offered.find((name) => name in spdyProtocols);
      if (protocol === undefined) return refuseProtocols(socket, offered, Object.keys(spdyProtocols));
      const streams = await opened(open(signal));
      try {
        acceptSpdy(socket, offered.length === 0 ? undefined : protocol);
        const channels = await openSpdyChannels(socket, head, spdyProtocols[protocol]!, wanted, clock);
        await serveRemoteCommand(channels, streams, toStatus);
      } finally {
        streams.close();
      }
      return;
    }
    const offered = offeredProtocols(request);
    const protocol =
      offered.length === 0 ? oldestWebSocketProtocol : offered.find((name) => name in webSocketProtocols);
    if (protocol === undefined) return refuseProtocols(socket, offered, Object.keys(webSocketProtocols));
    const streams = await opened(open(signal));
    try {
      const accepted = await acceptWebSocket(request, socket, head, offered.length === 0 ? undefined : protocol);
      await serveRemoteCommand(openWebSocketChannels(accepted, protocol, wanted, clock), streams, toStatus);
    } finally {
      streams.close();
    }
  };

  const portForward = async (call: Call, socket: Duplex, head: Buffer) => {
    const { request, query } = call;
    const { pod } = target(deps, call, "portForward");
    const dial = (port: number, signal: AbortSignal) => provider.portForward!(pod, port, signal);
    if (upgradeOf(request) === "spdy") {
      const offered = streamProtocols(request);
      if (offered.length > 0 && !offered.includes(portForwardProtocol)) {
        return refuseProtocols(socket, offered, [portForwardProtocol]);
      }
      acceptSpdy(socket, offered.length === 0 ? undefined : portForwardProtocol);
      return servePortForward(socket, head, dial, clock);
    }
    const offered = offeredProtocols(request);
    if (offered.includes(tunnelProtocol)) {
      const tunnel = createWebSocketStream(await acceptWebSocket(request, socket, head, tunnelProtocol));
      return servePortForward(tunnel, Buffer.alloc(0), dial, clock);
    }
    const known = [...Object.keys(portChannelProtocols), tunnelProtocol];
    const protocol =
      offered.length === 0 ? oldestPortChannelProtocol : offered.find((name) => name in portChannelProtocols);
    if (protocol === undefined) return refuseProtocols(socket, offered, known);
    const ports = portsOf(query);
    const accepted = await acceptWebSocket(request, socket, head, offered.length === 0 ? undefined : protocol);
    await servePortChannels(accepted, protocol, ports, dial, clock);
  };

  const routesOf = (paths: string[], upgrade: Route["upgrade"]): Route[] =>
    paths.map((path) => ({ methods: ["GET", "POST"], path, ...(upgrade && { upgrade }) }));
  return [
    ...routesOf(ofContainer("exec"), exec),
    ...routesOf(ofContainer("attach"), attach),
    ...routesOf(ofPod("portForward"), portForward),
    ...ofContainer("run").map(
      (path): Route => ({
        methods: ["POST"],
        path,
        async handle(call, response) {
          const { pod, container } = target(deps, call, "exec");
          const argv = (call.query.get("cmd") ?? "").split(" ").filter((word) => word !== "");
          if (argv.length === 0) throw new HostletError("ConfigInvalid", "you must specify a command in cmd");
          const request = { argv, stdin: false, tty: false };
          const { output, exitCode } = await runCommand(await provider.exec!(pod, container, request, call.signal));
          if (exitCode === 0) response.writeHead(200, { "content-type": "text/plain" }).end(output);
          else answer(response, 500, `command '${argv.join(" ")}' exited with ${exitCode}: ${output}`);
        },
      }),
    ),
  ];
}

/** What goes wrong with them before the client has made its streams is told once it has. */
async function opened(opening: Promise<ContainerStreams>): Promise<ContainerStreams> {
  const streams = await opening;
  for (const stream of [streams.stdin, streams.stdout, streams.stderr]) stream?.on("error", () => {});
  streams.ended.catch(() => {});
  return streams;
}

/**
 * The pod that is meant; the Provider must be able to.
 * @throws {HostletError} NotFound, NotSupported
 */
function target(
  { provider }: RouteDeps,
  { params, query }: Call,
  ability: "exec" | "attach" | "portForward",
): { pod: PodRef; container: string } {
  const { namespace = "", pod: name = "", container = "", uid = query.get("podUID") ?? undefined } = params;
  const pod = podRef(findPod(provider, namespace, name, uid));
  const able: Ability = provider.capabilities()[ability satisfies keyof ProviderCapabilities];
  if (able !== true) throw new HostletError("NotSupported", able);
  return { pod, container };
}

/** @throws {HostletError} ConfigInvalid */
function portsOf(query: URLSearchParams): number[] {
  const texts = query.getAll("port").flatMap((text) => text.split(","));
  const ports = texts.map(parsePort).filter((port) => port !== undefined);
  if (ports.length === 0 || ports.length < texts.length || ports.length > 100) {
    throw new HostletError("ConfigInvalid", `query parameter "port" is to name 1 to 100 ports: ${texts.join(",")}`);
  }
  return ports;
}
