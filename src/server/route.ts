import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../clock.ts";
import type { Provider } from "../providers/contract.ts";
import type { AgentMetrics } from "../telemetry/agentMetrics.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Subresource } from "./guard/attributes.ts";

/** Who asks, as the API server would name them. */
export interface User {
  username: string;
  uid?: string;
  groups: readonly string[];
  extra?: Readonly<Record<string, readonly string[]>>;
}

/** One request, or one upgrade, that was let in. */
export interface Call {
  request: IncomingMessage;
  /** Of the route's path, decoded. */
  params: Readonly<Record<string, string>>;
  query: URLSearchParams;
  user: User;
  /** Aborts when the client is gone, and when the server stops. */
  signal: AbortSignal;
}

/** What the routes are made from. */
export interface RouteDeps {
  provider: Provider;
  node: NodeView;
  metrics: AgentMetrics;
  clock: Clock;
  log: Logger;
}

/** What the kubelet API shows of its own node. */
export interface NodeView {
  name: string;
  /** On the file system that the pods are on. */
  stateDir: string;
  /** For `/configz`: without any secret. */
  config: object;
  /** The node's own logs, for `/logs/`. */
  logDir?: string | undefined;
}

/**
 * One path of the kubelet API. Whoever comes here was asked who they are and whether they may (`guard/`): a route has no
 * checks of its own. What it throws becomes the answer where nothing was sent yet, and breaks the connection otherwise.
 */
export interface Route {
  methods: readonly ("GET" | "POST" | "PUT" | "DELETE")[];
  /** In find-my-way's notation: `/exec/:namespace/:pod/:container`. */
  path: string;
  /**
   * The rights on `nodes/<subresource>` of which one is needed, in the order in which they are tried.
   * @default ["proxy"]
   */
  access?: readonly Subresource[];
  /** Resolves when the answer is complete. Requests that ask for an upgrade come here too where there is no `upgrade`. */
  handle?(call: Call, response: ServerResponse): Promise<void> | void;
  /**
   * For requests with `Connection: Upgrade`. The socket is the route's, which writes the 101 itself; what still is open when it
   * resolves is closed.
   */
  upgrade?(call: Call, socket: Duplex, head: Buffer): Promise<void>;
}
