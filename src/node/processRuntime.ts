import { homedir } from "node:os";
import { join } from "node:path";
import type { NodeConfig } from "../config/nodeConfig.ts";
import { findImage } from "../kubelet/image/imageTable.ts";
import type { ProviderContext } from "../providers/contract.ts";
import type { ContainerRuntime } from "../runtimes/contract.ts";
import type { ImageService } from "../runtimes/images.ts";
import { createImageService } from "../runtimes/process/images/service.ts";
import { chooseLauncher } from "../runtimes/process/launchers/choose.ts";
import type { Launcher } from "../runtimes/process/launchers/contract.ts";
import { plainLauncher } from "../runtimes/process/launchers/plain.ts";
import { createSandboxLauncher } from "../runtimes/process/launchers/sandbox.ts";
import { createProcessRuntime } from "../runtimes/process/runtime.ts";

/** The process runtime with the launcher and the images that the configuration asks for. */
export function processRuntime(config: NodeConfig, { log, clock }: ProviderContext): ContainerRuntime {
  return createProcessRuntime({
    stateDir: config.stateDir,
    launcher: launcherOf(config),
    ...(hasImages(config) && { images: imagesOf(config, clock) }),
    log,
    clock,
    logLimits: { maxBytes: config.containerLogMaxSize, maxFiles: config.containerLogMaxFiles },
  });
}

function launcherOf({ isolation, stateDir, podsDir }: NodeConfig): Launcher {
  const sandbox = createSandboxLauncher({ stateDir, hide: [homedir(), stateDir, podsDir] });
  return isolation === "sandbox" ? sandbox : chooseLauncher({ plain: plainLauncher, sandbox });
}

/** Where nothing has a root filesystem an image is but a name, and nothing is said of it. */
function hasImages({ images, pullImages }: NodeConfig): boolean {
  return pullImages || images.some(({ rootfs }) => rootfs !== undefined);
}

function imagesOf(config: NodeConfig, clock: ProviderContext["clock"]): ImageService {
  return createImageService({
    dir: join(config.stateDir, "images"),
    find(image) {
      const entry = findImage(config.images, image);
      if (!entry) return undefined;
      const { match: _, ...rest } = entry;
      return rest;
    },
    pull: config.pullImages,
    insecureRegistries: config.insecureRegistries,
    clock,
  });
}
