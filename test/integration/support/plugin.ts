import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/clock.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { NodeConfig } from "../../../src/config/nodeConfig.ts";
import { startApiServer } from "../../../src/interlink/api/server.ts";
import type { HopServer } from "../../../src/interlink/http/server.ts";
import { startPlugin } from "../../../src/interlink/plugin/server.ts";
import { createProvider } from "../../../src/node/createProvider.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";

/** An API server and a plugin behind it, in this process and in a directory of their own. */
export class TestPlugin {
  readonly dir = mkdtempSync(join(tmpdir(), "hostlet-plugin-"));
  readonly socket = join(this.dir, "plugin.sock");
  /** Of the API server. */
  readonly url = `unix:${join(this.dir, "api.sock")}`;
  readonly #defaults: Partial<NodeConfig>;
  #server: HopServer | undefined;
  #api: HopServer | undefined;

  private constructor(defaults: Partial<NodeConfig>) {
    this.#defaults = defaults;
  }

  static async start(defaults: Partial<NodeConfig> = {}): Promise<TestPlugin> {
    const plugin = new TestPlugin(defaults);
    await plugin.listen();
    await plugin.listenApi();
    return plugin;
  }

  get podsDir(): string {
    return join(this.dir, ".hostlet", "pods");
  }

  async listen(): Promise<void> {
    const stateDir = join(this.dir, "state");
    const config = await loadConfig({ env: {}, home: this.dir, defaults: { stateDir, ...this.#defaults } });
    const allocatable = { cpu: "2", memory: "1Gi" };
    this.#server = await startPlugin({
      address: { socket: this.socket },
      insecure: false,
      provider: (context) => createProvider({ config, context, hostIP: "127.0.0.1", allocatable }),
      stateDir,
      clock: systemClock,
      log: silentLogger,
    });
  }

  async listenApi(): Promise<void> {
    this.#api = await startApiServer({
      address: { socket: join(this.dir, "api.sock") },
      insecure: false,
      config: { sidecar: { url: `unix:${this.socket}` }, statusMaxAgeMs: 30_000 },
      clock: systemClock,
      log: silentLogger,
    });
  }

  async leaveApi(): Promise<void> {
    await this.#api?.stop();
    this.#api = undefined;
  }

  /** The plugin goes; its pods run on. */
  async leave(): Promise<void> {
    await this.#server?.stop();
    this.#server = undefined;
  }

  async stop(): Promise<void> {
    await this.leaveApi();
    await this.leave();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
