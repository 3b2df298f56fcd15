import type { NodeConfig } from "../config/nodeConfig.ts";
import { allowedTtlMs, deniedTtlMs, tokenTtlMs } from "../server/guard/guard.ts";
import { leaseDurationSeconds } from "./registration.ts";

/** `/configz`: what tools read of a kubelet's configuration, and the node's own; the environment of images may be secret. */
export function configz(config: NodeConfig): object {
  const seconds = (ms: number) => `${ms / 1000}s`;
  return {
    kubeletconfig: {
      kind: "KubeletConfiguration",
      apiVersion: "kubelet.config.k8s.io/v1beta1",
      port: config.kubeletPort,
      healthzPort: config.healthzPort,
      syncFrequency: seconds(config.syncFrequency),
      maxPods: config.maxPods,
      containerLogMaxSize: String(config.containerLogMaxSize),
      containerLogMaxFiles: config.containerLogMaxFiles,
      nodeLeaseDurationSeconds: leaseDurationSeconds,
      enableServer: true,
      enableDebuggingHandlers: true,
      authentication: {
        anonymous: { enabled: false },
        webhook: { enabled: true, cacheTTL: seconds(tokenTtlMs) },
      },
      authorization: {
        mode: "Webhook",
        webhook: { cacheAuthorizedTTL: seconds(allowedTtlMs), cacheUnauthorizedTTL: seconds(deniedTtlMs) },
      },
      featureGates: { KubeletFineGrainedAuthz: true },
    },
    hostlet: { ...config, images: config.images.map(({ env: _secret, ...entry }) => entry) },
  };
}
