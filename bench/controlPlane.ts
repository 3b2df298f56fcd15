import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Child } from "./child.ts";

/** How many requests of each `verb resource/subresource`. */
export type Requests = Record<string, number>;

/** What the process of a control plane is told first. */
export interface ControlPlaneInput {
  /** Empty; for all of its state. */
  directory: string;
  nodeName: string;
  /** Of a real one: which, and where its programs are. */
  real?: { version: string; programs: string };
}

export interface Serving {
  cert: string;
  key: string;
  clientCa: string;
}

/** Its first message. */
export interface ControlPlaneReady {
  /** Files, 0600. */
  adminKubeconfig: string;
  nodeKubeconfig: string;
  serving: Serving;
  /** Who the node's kubeconfig makes its agent: `node` may not label or taint its Node. */
  identity: "node" | "other";
}

/** What it does when told, each answered by one message. */
export interface Actions {
  /** What the node has asked so far, as the API server saw it. */
  requests(): Promise<Requests>;
  /** The API server ends; what it knows stays. */
  away(): Promise<void>;
  /** It is there again, at the same address; resolves when it is ready. */
  back(): Promise<void>;
}

/** A control plane in a process of its own. */
export class ControlPlane {
  readonly ready: ControlPlaneReady;
  readonly #child: Child;

  private constructor(child: Child, ready: ControlPlaneReady) {
    this.#child = child;
    this.ready = ready;
  }

  /** @param kind `embedded`, or `real:VERSION`, whose programs are built where they are not there yet */
  static async start(kind: string, directory: string, nodeName: string): Promise<ControlPlane> {
    const version = realVersion(kind);
    const real = version === undefined ? {} : { real: { version, programs: await programs(version) } };
    const child = new Child(version === undefined ? "embedded" : "real", { directory, nodeName, ...real });
    return new ControlPlane(child, await child.message<ControlPlaneReady>());
  }

  requests(): Promise<Requests> {
    return this.#child.ask<Requests>("requests");
  }

  async away(): Promise<void> {
    await this.#child.ask("away");
  }

  async back(): Promise<void> {
    await this.#child.ask("back");
  }

  stop(): Promise<void> {
    return this.#child.stop();
  }
}

/** @returns undefined for the embedded one @throws {Error} it is neither */
export function realVersion(kind: string): string | undefined {
  if (kind === "embedded") return undefined;
  const version = /^real:(\d+\.\d+\.\d+)$/.exec(kind)?.[1];
  if (!version) throw new Error(`--control-plane ${kind}: there is embedded, and real:VERSION such as real:1.34.2`);
  return version;
}

async function programs(version: string): Promise<string> {
  const { stdout } = await promisify(execFile)("scripts/control-plane/get.sh", [version], { maxBuffer: 2 ** 26 });
  return stdout.trim();
}
