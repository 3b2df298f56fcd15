import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { systemClock } from "../../src/clock.ts";
import type { ImageEntry } from "../../src/config/nodeConfig.ts";
import { createClient } from "../../src/kube/client.ts";
import { parseKubeconfig } from "../../src/kube/kubeconfig.ts";
import { paths } from "../../src/kube/paths.ts";
import type { Node } from "../../src/kube/types.ts";
import { nodeObject, readHostFacts } from "../../src/node/nodeObject.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { admin, kubeconfig, node as nodePerson, servingPair } from "../integration/support/clusterAccess.ts";
import { Program } from "../integration/support/program.ts";
import type { RealControlPlane } from "../integration/support/realControlPlane.ts";

export interface ConformanceNode {
  adminKubeconfig: string;
  stop(): Promise<void>;
}

const nodeName = "conformance";

/** `hostlet node` as it is built, as system:node:NAME; resolves when the scheduler may send it pods. */
export async function startNode(options: {
  plane: RealControlPlane;
  /** The bundle. */
  hostlet: string;
  dir: string;
  images: ImageEntry[];
  isolation: string;
  logFile: string;
}): Promise<ConformanceNode> {
  const { plane, hostlet, dir, images, isolation, logFile } = options;
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 });
    return join(dir, name);
  };
  const adminKubeconfig = file("admin.kubeconfig", kubeconfig(plane.keys, admin));
  const serving = servingPair(plane.keys, [nodeName, "127.0.0.1"]);
  const config = {
    nodeName,
    isolation,
    images,
    pullImages: true,
    nodeIP: "127.0.0.1",
    kubeletPort: 0,
    podCIDR: "10.88.0.0/16",
    disableTaint: true,
    stateDir: join(dir, "state"),
    podsDir: join(dir, "pods"),
    // The tests ask for what a kubelet would see within a minute or two.
    syncFrequency: "10s",
  };
  const access = parseKubeconfig(kubeconfig(plane.keys, admin), { file: "of the administrator" });
  const client = createClient(access, {
    log: silentLogger,
    clock: systemClock,
    userAgent: "hostlet-conformance",
    env: {},
  });
  try {
    // What an administrator does beforehand for a node that may not label itself.
    const object = nodeObject({ nodeName, nodeLabels: {}, nodeTaints: [], disableTaint: true }, readHostFacts());
    await client.create(paths.nodes(), object);
    const program = new Program(
      process.execPath,
      [
        ...[hostlet, "node", "--config", file("config.yaml", stringify(config))],
        ...["--kubeconfig", file("node.kubeconfig", kubeconfig(plane.keys, nodePerson(nodeName)))],
        ...[
          "--tls-cert-file",
          file("serving.crt", serving.cert),
          "--tls-private-key-file",
          file("serving.key", serving.key),
        ],
        ...["--client-ca-file", file("ca.crt", plane.keys.caPem), "--log-level", "info", "--drain-on-exit"],
      ],
      { name: "hostlet node", logFile, cwd: dir },
    );
    await program.whileRunning(async () => {
      const { spec, status } = await client.get<Node>(paths.nodes(nodeName));
      const ready = status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True");
      return Boolean(ready) && !spec?.taints?.some(({ key }) => key === "node.kubernetes.io/not-ready");
    });
    return { adminKubeconfig, stop: () => program.stop() };
  } finally {
    client.close();
  }
}
