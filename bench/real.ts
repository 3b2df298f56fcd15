import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { countRequests, readAudit } from "../test/integration/support/audit.ts";
import { admin, kubeconfig, node, servingPair } from "../test/integration/support/clusterAccess.ts";
import { RealControlPlane } from "../test/integration/support/realControlPlane.ts";
import { answer, input, tell, toldToEnd } from "./child.ts";
import type { Actions, ControlPlaneInput, ControlPlaneReady } from "./controlPlane.ts";

// etcd, kube-apiserver, kube-scheduler and kube-controller-manager, as the e2e tests start them.
const { directory, nodeName, real } = await input<ControlPlaneInput>();
if (!real) throw new Error("which version, and where are its programs?");
process.env.TMPDIR = directory;
const plane = await RealControlPlane.start(real);
const person = node(nodeName);
const file = (name: string, text: string) => {
  writeFileSync(join(directory, name), text, { mode: 0o600 });
  return join(directory, name);
};
answer({
  requests: async () => countRequests(readAudit(plane.auditLog, person.commonName, 0)),
  away: () => plane.stopApiServer(),
  back: () => plane.startApiServer(),
} satisfies Actions);
tell({
  adminKubeconfig: file("admin.kubeconfig", kubeconfig(plane.keys, admin)),
  nodeKubeconfig: file("node.kubeconfig", kubeconfig(plane.keys, person)),
  serving: { ...servingPair(plane.keys, [nodeName, "localhost", "127.0.0.1"]), clientCa: plane.keys.caPem },
  identity: "node",
} satisfies ControlPlaneReady);
await toldToEnd();
await plane.stop();
