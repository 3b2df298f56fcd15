import { BusConnection, DBusError, DBusLost } from "./dbus/connection.ts";
import type { Message } from "./dbus/message.ts";
import type { DBusValue, Variant } from "./dbus/wire.ts";
import type { UnitProperty } from "./unitProperties.ts";

const service = "org.freedesktop.systemd1";
const ofManager = { destination: service, path: "/org/freedesktop/systemd1", interface: `${service}.Manager` } as const;

/** systemd, by its D-Bus. Connects when it is needed, and again where the bus or the manager were restarted. */
export class SystemdManager {
  readonly #socket: string;
  readonly #stopping = new AbortController();
  #connection: Promise<BusConnection> | undefined;

  /** @param socket of the bus that the manager listens on */
  constructor(socket: string) {
    this.#socket = socket;
  }

  /** @throws {DBusLost} {DBusError} */
  async version(): Promise<string> {
    const bus = await this.#bus();
    const [value] = await bus.call({
      ...{ destination: service, path: ofManager.path, interface: "org.freedesktop.DBus.Properties", member: "Get" },
      ...{ signature: "ss", body: [ofManager.interface, "Version"] },
    });
    return String((value as Variant).value);
  }

  /**
   * Makes a transient unit and starts it; resolves when it has started.
   * @throws {DBusError} systemd refused the unit, or it could not be started: nothing runs
   * @throws {DBusLost} nobody knows what became of it
   */
  async startTransient(name: string, properties: UnitProperty[]): Promise<void> {
    const bus = await this.#bus();
    // Heard before the answer is read, whatever the order in which they come.
    const results = new Map<string, string>();
    let heard = () => {};
    const forget = bus.onSignal((message) => {
      const ended = jobRemoved(message);
      if (!ended) return;
      results.set(ended.job, ended.result);
      heard();
    });
    try {
      const [job] = await bus.call({
        ...{ ...ofManager, member: "StartTransientUnit", signature: "ssa(sv)a(sa(sv))" },
        body: [name, "fail", properties as DBusValue, []],
      });
      const result = await new Promise<string>((resolve, reject) => {
        heard = () => {
          const known = results.get(String(job));
          if (known !== undefined) resolve(known);
        };
        bus.onClose(() => reject(new DBusLost("D-Bus went away while the unit was started")));
        heard();
      });
      if (result !== "done") throw new DBusError(`${service}.JobFailed`, `systemd could not start ${name}: ${result}`);
    } finally {
      forget();
    }
  }

  /** Lets systemd forget a unit that failed. Not an error where there is none. */
  async resetFailed(name: string): Promise<void> {
    const bus = await this.#bus();
    try {
      await bus.call({ ...ofManager, member: "ResetFailedUnit", signature: "s", body: [name] });
    } catch (error) {
      if (!(error instanceof DBusError)) throw error;
    }
  }

  /** Why a unit failed, in systemd's words: `exit-code`, `resources`, ...; with its status, such as 226 for its mounts. */
  async failure(name: string): Promise<{ result: string; status: number } | undefined> {
    try {
      const bus = await this.#bus();
      const [path] = await bus.call({ ...ofManager, member: "GetUnit", signature: "s", body: [name] });
      const get = async (property: string) => {
        const [value] = await bus.call({
          ...{ destination: service, path: String(path), interface: "org.freedesktop.DBus.Properties", member: "Get" },
          ...{ signature: "ss", body: [`${service}.Service`, property] },
        });
        return (value as Variant).value;
      };
      return { result: String(await get("Result")), status: Number(await get("ExecMainStatus")) };
    } catch (error) {
      if (error instanceof DBusError) return undefined;
      throw error;
    }
  }

  stop(): void {
    this.#stopping.abort();
    void this.#connection?.then(
      (bus) => bus.close(),
      () => {},
    );
  }

  #bus(): Promise<BusConnection> {
    this.#connection ??= this.#connect();
    return this.#connection;
  }

  async #connect(): Promise<BusConnection> {
    try {
      const bus = await BusConnection.open(this.#socket, this.#stopping.signal);
      bus.onClose(() => {
        this.#connection = undefined;
      });
      // systemd tells of jobs only where somebody has asked for it.
      await bus.match(`type='signal',sender='${service}',interface='${ofManager.interface}',member='JobRemoved'`);
      await bus.call({ ...ofManager, member: "Subscribe" });
      return bus;
    } catch (error) {
      this.#connection = undefined;
      throw error;
    }
  }
}

function jobRemoved(message: Message): { job: string; result: string } | undefined {
  if (message.member !== "JobRemoved" || message.interface !== ofManager.interface) return undefined;
  const [, job, , result] = message.body ?? [];
  return { job: String(job), result: String(result) };
}
