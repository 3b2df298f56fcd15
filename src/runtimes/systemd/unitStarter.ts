import { open } from "node:fs/promises";
import { join } from "node:path";
import { HostletError } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { ContainerID, ContainerSpec } from "../contract.ts";
import { readAttemptRecord } from "../process/attemptRecord.ts";
import { attemptPaths } from "../process/layout.ts";
import type { SpawnListener } from "../process/spawner.ts";
import type { ShimStarter } from "../process/starter.ts";
import type { ManagerScope } from "./dbus/address.ts";
import { DBusError } from "./dbus/connection.ts";
import type { SystemdManager } from "./manager.ts";
import { unitName } from "./unitName.ts";
import { unitProperties } from "./unitProperties.ts";

export interface UnitStarterOptions {
  manager: SystemdManager;
  scope: ManagerScope;
  stateDir: string;
  shim(): string;
  log: Logger;
}

/** Below what systemd says of a start that failed because of mounts and the like. */
const statuses: Record<number, string> = {
  200: "a directory is missing",
  203: "the shim could not be executed",
  217: "there is no such user",
  226: "its mounts could not be made",
};

/** Has shims executed by systemd, each in a transient unit of its own: they are systemd's to place, limit and account for. */
export class UnitStarter implements ShimStarter {
  readonly #options: UnitStarterOptions;
  #stopped = false;

  constructor(options: UnitStarterOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    try {
      const version = await this.#options.manager.version();
      this.#options.log.info({ version, scope: this.#options.scope }, "containers are systemd's units");
    } catch (cause) {
      throw new HostletError("RuntimeUnavailable", `systemd does not answer: ${(cause as Error).message}`, { cause });
    }
  }

  spawn(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    listener: SpawnListener,
    spec: ContainerSpec,
  ): void {
    void this.#start(args, env, spec).then((refused) => {
      if (this.#stopped) return;
      if (refused) listener.failed(refused);
      // From here on the shim is followed by its socket; where nobody knows what became of it, the claim decides.
      else listener.gone();
    });
  }

  /** @returns why nothing was started and nothing will be */
  async #start(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    spec: ContainerSpec,
  ): Promise<Error | undefined> {
    const { manager, scope, stateDir, shim, log } = this.#options;
    const { dir } = attemptPaths(stateDir, spec.id);
    const name = unitName(spec);
    const command = { file: shim(), args: ["run", "--env-file", "env", ...args] };
    const properties = unitProperties({ spec, scope, command, writable: [stateDir] });
    try {
      await writeEnvironment(join(dir, "env"), env);
      await manager.version(); // connected: what fails before this was never asked for
    } catch (error) {
      return error as Error;
    }
    try {
      await manager.startTransient(name, properties);
      return undefined;
    } catch (error) {
      if (error instanceof DBusError) return await this.#explain(name, error);
      log.warn({ err: error, unit: name }, "nobody knows whether systemd started the unit; its claim decides");
      return undefined;
    }
  }

  async #explain(name: string, error: DBusError): Promise<Error> {
    const { manager } = this.#options;
    const why = await manager.failure(name).catch(() => undefined);
    await manager.resetFailed(name).catch(() => {});
    return why ? new DBusError(error.error, explain(name, error.message, why)) : error;
  }

  async forget(id: ContainerID): Promise<void> {
    const spec = readAttemptRecord(attemptPaths(this.#options.stateDir, id).dir)?.spec;
    // Only a unit whose shim was killed is still known to systemd.
    if (spec) await this.#options.manager.resetFailed(unitName(spec)).catch(() => {});
  }

  stop(): void {
    this.#stopped = true;
    this.#options.manager.stop();
  }
}

/** For its owner alone, and gone as soon as the shim has read it. */
async function writeEnvironment(file: string, env: Readonly<Record<string, string>>): Promise<void> {
  const handle = await open(file, "w", 0o600);
  try {
    await handle.writeFile(
      Object.entries(env)
        .map(([name, value]) => `${name}=${value}\0`)
        .join(""),
    );
  } finally {
    await handle.close();
  }
}

function explain(name: string, message: string, { result, status }: { result: string; status: number }): string {
  const known = statuses[status];
  return `${message} (${result}${known ? `, status ${status}: ${known}` : ""}); systemctl status ${name} and the journal may say more`;
}
