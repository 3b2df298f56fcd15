import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "../../../src/clock.ts";
import { isAlreadyExists } from "../../../src/kube/apiError.ts";
import { createClient, type KubeClient } from "../../../src/kube/client.ts";
import { loadKubeconfig } from "../../../src/kube/kubeconfig.ts";
import { paths } from "../../../src/kube/paths.ts";
import { retry } from "../../../src/kube/retry.ts";
import type { Pod } from "../../../src/kube/types.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";

/** `hostlet up` in a process of its own, in a home of its own: agent and API server, which are killed together. */
export class Up {
  readonly home = mkdtempSync(join(tmpdir(), "hostlet-chaos-"));
  /** What the payloads themselves write: the truth that the API is compared with. */
  readonly journalFile = join(this.home, "journal");
  #child: ChildProcess | undefined;

  /** @returns resolves when it is Ready */
  spawn(): { ready: Promise<void> } {
    const child = spawn(process.execPath, [resolve("bin/hostlet.js"), "up"], {
      env: { ...process.env, HOME: this.home },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    let said = "";
    child.stderr!.on("data", (chunk) => {
      said += chunk;
    });
    const ready = new Promise<void>((resolveReady, failed) => {
      child.stdout!.on("data", (chunk) => {
        said += chunk;
        if (said.includes("Ready")) resolveReady();
      });
      child.once("exit", (code, signal) => failed(new Error(`hostlet up ended with ${code ?? signal}: ${said}`)));
    });
    ready.catch(() => {}); // one that is killed before it is ready
    return { ready };
  }

  async kill(): Promise<void> {
    const child = this.#child!;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    rmSync(this.home, { recursive: true, force: true });
  }

  /** The address changes with each start: the kubeconfig is read anew for each call, which is made until it works. */
  ask<T>(call: (client: KubeClient) => Promise<T>): Promise<T> {
    const { signal } = new AbortController();
    return retry(
      async () => {
        const config = loadKubeconfig(join(this.home, ".hostlet/up/kubeconfig"));
        const client = createClient(config, { log: silentLogger, clock: systemClock, userAgent: "hostlet-chaos" });
        try {
          return await call(client);
        } finally {
          client.close();
        }
      },
      { clock: systemClock, signal, tries: 40, maxMs: 500, retryable: () => true },
    );
  }

  /** A create whose answer was lost with the process has been made all the same. */
  async create(pod: Pod): Promise<void> {
    await this.ask((client) =>
      client.create(paths.pods("default"), pod).catch((error) => {
        if (!isAlreadyExists(error)) throw error;
      }),
    );
  }

  async pods(): Promise<Pod[]> {
    return (await this.ask((client) => client.list<Pod>(paths.pods("default")))).items;
  }

  journal(): string[] {
    return existsSync(this.journalFile) ? readFileSync(this.journalFile, "utf8").trim().split("\n") : [];
  }

  /** Deletes every pod, and waits until nothing of any is left. @returns what is, in vain */
  async leave(markers: string[] = []): Promise<string[]> {
    for (const { metadata } of await this.pods()) {
      await this.ask((client) => client.delete(paths.pods("default", metadata!.name)).catch(() => {}));
    }
    // The objects of pods that are over go at once; what is left here goes after them.
    const left = () => [
      ...processesWith([this.home, ...markers]),
      ...["up/node/pods", "up/node/exits", "pods/default"].flatMap((dir) => list(join(this.home, ".hostlet", dir))),
    ];
    for (let tries = 0; tries < 300 && left().length > 0; tries++) await delay(100);
    return left();
  }
}

function list(dir: string): string[] {
  return existsSync(dir) ? readdirSync(dir) : [];
}

/** Processes whose command line has one of these words, but for hostlet itself. */
export function processesWith(words: string[]): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        const meant = words.some((word) => command.includes(word)) && !command.includes("hostlet.js");
        return meant ? [`${pid} ${command}`] : [];
      } catch {
        return [];
      }
    });
}
