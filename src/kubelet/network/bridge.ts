import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { HostletError } from "../../errors.ts";
import type { Pod } from "../../kube/types.ts";
import { podRef } from "../../kube/types.ts";
import type { Logger } from "../../telemetry/log.ts";
import { Addresses, type Network } from "./addresses.ts";
import type { PodNetwork } from "./podNetwork.ts";

const run = promisify(execFile);
/** Where iproute2 keeps namespaces that have a name. */
const namespaces = "/run/netns";

/** Pods in network namespaces on a bridge of this host, by iproute2; root's. Not a CNI: one node, no policies. */
export class BridgeNetwork implements PodNetwork {
  readonly #addresses: Addresses;
  readonly #network: Network;
  readonly #cidr: string;
  readonly #bridge: string;
  readonly #log: Logger;
  #opened: Promise<void> | undefined;

  constructor(options: { cidr: string; network: Network; stateDir: string; log: Logger }) {
    this.#cidr = options.cidr;
    this.#network = options.network;
    this.#addresses = new Addresses(options.network, join(options.stateDir, "addresses.json"));
    this.#bridge = `hostlet-${shortHash(options.cidr).slice(0, 6)}`;
    this.#log = options.log;
  }

  addressOf(pod: Pod): string {
    return this.#addresses.of(podRef(pod).uid);
  }

  async setUp(pod: Pod): Promise<string> {
    const { uid } = podRef(pod);
    const [name, outside] = [`hostlet-${uid}`, `hl${shortHash(uid).slice(0, 12)}`];
    const file = join(namespaces, name);
    try {
      this.#opened ??= this.#open();
      await this.#opened;
      if (existsSync(file) && (await isWhole(name))) return file;
      await ip(["netns", "delete", name]).catch(() => {});
      await ip(["link", "delete", outside]).catch(() => {});
      await ip(["netns", "add", name]);
      await ipBatch([
        `link add ${outside} type veth peer name eth0 netns ${name}`,
        `link set ${outside} master ${this.#bridge} up`,
      ]);
      await ipBatch(
        [
          "link set lo up",
          `address add ${this.addressOf(pod)}/${this.#network.prefix} dev eth0`,
          "link set eth0 up",
          // The last step: what has a route is whole.
          `route add default via ${this.#addresses.gateway}`,
        ],
        ["-n", name],
      );
      return file;
    } catch (cause) {
      this.#opened = undefined;
      const why = String((cause as { stderr?: unknown }).stderr ?? "").trim() || (cause as Error).message;
      throw new HostletError("CreateContainerFailed", `the pod's network can't be made: ${why}`, {
        ...{ cause, reason: "FailedCreatePodSandBox" },
      });
    }
  }

  async tearDown(uid: string): Promise<void> {
    // The other end of its link goes with the namespace.
    await ip(["netns", "delete", `hostlet-${uid}`]).catch(() => {});
    this.#addresses.release(uid);
  }

  async #open(): Promise<void> {
    const gateway = `${this.#addresses.gateway}/${this.#network.prefix}`;
    await ip(["link", "add", this.#bridge, "type", "bridge"]).catch(() => {}); // there already, or the next says why
    await ipBatch([`address replace ${gateway} dev ${this.#bridge}`, `link set ${this.#bridge} up`]);
    try {
      writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
      const rule = ["POSTROUTING", "-s", this.#cidr, "!", "-d", this.#cidr, "-j", "MASQUERADE"];
      await run("iptables", ["-t", "nat", "-C", ...rule]).catch(() => run("iptables", ["-t", "nat", "-A", ...rule]));
    } catch (error) {
      this.#log.warn({ err: error }, "pods reach this host and each other, but nothing beyond: there is no iptables");
    }
  }
}

function ip(args: string[]): Promise<{ stdout: string }> {
  return run("ip", args, { timeout: 10_000 });
}

/** Nothing in a line is a manifest's. */
async function ipBatch(lines: string[], options: string[] = []): Promise<void> {
  const running = run("ip", [...options, "-batch", "-"], { timeout: 10_000 });
  running.child.stdin?.end(`${lines.join("\n")}\n`);
  await running;
}

/** An agent may have been killed in the middle. */
async function isWhole(name: string): Promise<boolean> {
  const route = await ip(["-n", name, "route", "show", "default"]).catch(() => undefined);
  return route !== undefined && route.stdout.trim() !== "";
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
