import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import type { NodeConfig } from "../config/nodeConfig.ts";
import { HostletError } from "../errors.ts";
import type { KubeClient } from "../kube/client.ts";
import { paths } from "../kube/paths.ts";
import type { Pod } from "../kube/types.ts";
import { lockStateDir } from "../node/stateLock.ts";
import { createLogger, type Logger } from "../telemetry/log.ts";
import type { Io } from "./console.ts";
import { count, deletePods, emptied } from "./endPods.ts";
import { type Interrupt, Interrupted, onInterrupt } from "./interrupt.ts";
import { loadLocalConfig, type NodeFlags, parsePort } from "./nodeFlags.ts";
import { hasEnded } from "./outcome.ts";
import { PodWatch } from "./podWatch.ts";
import { openSession, type Session } from "./session.ts";

export interface UpFlags extends NodeFlags {
  drainOnExit?: boolean;
}

/**
 * `hostlet up`: a control plane and a node that stay until a signal; both remember over a restart.
 * @returns what to exit with
 * @throws {HostletError} StateLocked, ListenFailed, ConfigInvalid
 */
export async function up(flags: UpFlags, io: Io): Promise<number> {
  const clock = systemClock;
  const port = flags.port === undefined ? undefined : parsePort(flags.port);
  const interrupt = onInterrupt(io, clock);
  try {
    const config = await loadLocalConfig(flags, io, "up");
    const dir = config.stateDir;
    config.stateDir = join(dir, "node");
    const lock = lockStateDir(dir);
    const log = createLogger(config.logLevel);
    let session: Session | undefined;
    try {
      session = await openOnItsPort({ dir, port, config, clock, log }, io);
      const kubeconfig = await replaceFile(join(dir, "kubeconfig"), session.cluster.kubeconfig("admin"));
      const agent = await session.startNode(interrupt.first);
      io.stdout.write(greeting(config.nodeName, session.cluster.url, kubeconfig));
      await aborted(interrupt.first);
      const pods = await livePods(session.client);
      if (flags.drainOnExit) {
        io.stderr.write(
          `ending ${count(pods.length, "pod")}, which may take their grace period; again to kill at once\n`,
        );
        await drain(session.client, pods, interrupt, clock, log);
        await emptied(agent, clock);
      } else if (pods.length > 0) {
        io.stderr.write(
          `${count(pods.length, "pod")} ${pods.length === 1 ? "runs" : "run"} on until the next hostlet up\n`,
        );
      }
      return 0;
    } finally {
      await session?.stop();
      lock.release();
    }
  } catch (error) {
    if (error instanceof Interrupted) return error.exitCode;
    throw error;
  } finally {
    interrupt.dispose();
  }
}

async function livePods(client: KubeClient): Promise<Pod[]> {
  const { items } = await client.list<Pod>(paths.pods());
  return items.filter((pod) => !hasEnded(pod));
}

async function drain(client: KubeClient, pods: Pod[], interrupt: Interrupt, clock: Clock, log: Logger): Promise<void> {
  const watch = new PodWatch({ client, clock, log, pods, onChange: () => {} });
  try {
    await deletePods(client, pods);
    await watch.until(({ gone }) => gone, interrupt.second).catch(() => deletePods(client, pods, 0));
  } finally {
    await watch.stop();
  }
}

interface UpSession {
  dir: string;
  /** As asked for; undefined: the one of the last time. */
  port: number | undefined;
  config: NodeConfig;
  clock: Clock;
  log: Logger;
}

/** Kubeconfigs, and a kubectl that watches, survive a restart: the API server keeps its port where it can. */
async function openOnItsPort({ dir, port, ...options }: UpSession, io: Io): Promise<Session> {
  const file = join(dir, "port");
  const last = port === undefined ? await rememberedPort(file) : 0;
  const open = (onPort: number) => openSession({ ...options, port: onPort, dir: join(dir, "cluster") });
  let session: Session;
  try {
    session = await open(port ?? last);
  } catch (error) {
    if (last === 0 || !(error instanceof HostletError) || error.code !== "ListenFailed") throw error;
    session = await open(0);
    io.stderr.write(`warning: ${error.message}; the API server has another port now: use the new kubeconfig\n`);
  }
  await replaceFile(file, `${new URL(session.cluster.url).port}\n`);
  return session;
}

/** 0 where there is none yet. */
async function rememberedPort(file: string): Promise<number> {
  const text = await readFile(file, "utf8").catch(() => "");
  return /^\d{1,5}\n$/.test(text) && Number(text) <= 65_535 ? Number(text) : 0;
}

/** Replaces the file at once: a kubectl that reads it meanwhile sees the old one or the new one. */
async function replaceFile(file: string, text: string): Promise<string> {
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
  return file;
}

function greeting(node: string, url: string, kubeconfig: string): string {
  return `The control plane is at ${url}, the node ${node} is Ready. Try:

  export KUBECONFIG=${kubeconfig}
  kubectl get nodes
  kubectl run hello --image=none --restart=Never --command -- echo "Hello from a pod"
  kubectl logs hello

Ctrl-C stops both; pods run on until the next hostlet up, or are ended with --drain-on-exit.
`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
