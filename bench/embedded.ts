import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../src/clock.ts";
import { type DevCluster, type FaultRequest, startDevCluster } from "../src/devcluster/index.ts";
import { parseTarget } from "../src/devcluster/rest/target.ts";
import { createLogger } from "../src/telemetry/log.ts";
import { answer, input, tell, toldToEnd } from "./child.ts";
import type { Actions, ControlPlaneInput, ControlPlaneReady, Requests } from "./controlPlane.ts";

// The embedded control plane and nothing else.
const { directory, nodeName } = await input<ControlPlaneInput>();
const dir = join(directory, "state");
mkdirSync(dir, { mode: 0o700 });
const username = `system:node:${nodeName}`;
const requests: Requests = {};

const verbs: Record<string, string> = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" };

/** As an audit log names it. */
function nameOf({ method, path, query }: FaultRequest): string {
  const review = /\/v1\/(\w+reviews)$/.exec(path)?.[1]; // no resource: nothing of it is kept
  if (review) return `create ${review}`;
  const target = parseTarget(path);
  const reading = query.has("watch") ? "watch" : target?.name === undefined ? "list" : "get";
  const resource = target ? [target.resource.plural, target.subresource].filter(Boolean).join("/") : path;
  return `${verbs[method] ?? reading} ${resource}`;
}

async function start(port: number): Promise<DevCluster> {
  const started = await startDevCluster({ dir, port, clock: systemClock, log: createLogger("error") });
  // A fault that is asked about every request, and never happens.
  started.faults.add({
    kind: "slow",
    match(request) {
      if (request.user !== username) return false;
      const name = nameOf(request);
      requests[name] = (requests[name] ?? 0) + 1;
      return false;
    },
  });
  return started;
}

let cluster = await start(0);
const port = Number(new URL(cluster.url).port);
const file = (name: string, text: string) => {
  writeFileSync(join(directory, name), text, { mode: 0o600 });
  return join(directory, name);
};
answer({
  requests: async () => requests,
  away: () => cluster.stop(),
  async back() {
    cluster = await start(port);
  },
} satisfies Actions);
tell({
  adminKubeconfig: file("admin.kubeconfig", cluster.kubeconfig("admin")),
  nodeKubeconfig: file("node.kubeconfig", cluster.kubeconfig({ node: nodeName })),
  serving: { ...cluster.issueServing([nodeName, "localhost", "127.0.0.1"]), clientCa: cluster.clientCaPem },
  identity: "other",
} satisfies ControlPlaneReady);
await toldToEnd();
await cluster.stop();
