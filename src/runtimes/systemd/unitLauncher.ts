import type { RuntimeFeature } from "../contract.ts";
import type { Launcher } from "../process/launchers/contract.ts";
import { plainLauncher } from "../process/launchers/plain.ts";

const features: ReadonlySet<RuntimeFeature> = new Set(["limits", "readOnlyRootFilesystem", "readOnlyMounts"]);
const limitsOnly: ReadonlySet<RuntimeFeature> = new Set(["limits"]);

/**
 * What runs in a unit of the system's manager sees the host's file system with its mounts in their places, which systemd makes. The
 * links below the container's directory are there as well, for who finds volumes by their variables.
 */
export const systemUnitLauncher: Launcher = {
  ...plainLauncher,
  name: "unit",
  features: () => features,
  enter(spec, argv, payload) {
    const found = plainLauncher.enter(spec, argv, payload);
    if ("exitCode" in found) return found;
    // Into the mounts of the unit, by the host's own nsenter; only there the working directory can be looked up.
    const inside = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', spec.workingDir ?? spec.dir];
    const target = ["nsenter", "--target", String(payload.pid), "--mount", "--", ...inside];
    return { ...found, file: "/usr/bin/nsenter", argv: [...target, found.file, ...found.argv.slice(1)] };
  },
};

/** A user's manager makes no mounts. */
export const userUnitLauncher: Launcher = { ...plainLauncher, name: "unit", features: () => limitsOnly };
