import type { ContainerExit, ContainerID, ContainerSpec } from "../../contract.ts";
import type { Launcher } from "./contract.ts";

export interface Launchers {
  plain: Launcher;
  sandbox: Launcher;
}

/**
 * The plain launcher, and the sandbox for what asks for it: a pod that wants one, an image with a root filesystem.
 * The sandbox is tried out when it is first needed, as a node that never needs it must start without.
 */
export function chooseLauncher({ plain, sandbox }: Launchers): Launcher {
  let opened: Promise<void> | undefined;
  const open = () => {
    opened ??= sandbox.open?.() ?? Promise.resolve();
    return opened.catch((error) => {
      opened = undefined; // asked again: whoever administers the host may have helped
      throw error;
    });
  };
  const of = (spec: ContainerSpec) =>
    spec.isolation === "sandbox" || spec.image?.rootfs !== undefined ? sandbox : plain;
  return {
    name: plain.name,
    features: (isolation) => (isolation === "sandbox" ? sandbox : plain).features?.(isolation) ?? new Set(),
    async prepare(spec) {
      const launcher = of(spec);
      if (launcher === sandbox) await open();
      await launcher.prepare(spec);
    },
    resolve: (spec) => of(spec).resolve(spec),
    wrap: (spec, executable) => of(spec).wrap(spec, executable),
    enter: (spec, argv, payload) => of(spec).enter(spec, argv, payload),
    // Each knows what is its own.
    ended: (id: ContainerID, exit: ContainerExit) => sandbox.ended?.(id, exit) ?? exit,
    async forget(id) {
      await sandbox.forget?.(id);
    },
  };
}
