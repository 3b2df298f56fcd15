import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { expectedCode, type Method, matrix, type Right, rights } from "../integration/support/accessMatrix.ts";
import { clientPair } from "../integration/support/clusterAccess.ts";
import { TestNode, until } from "../integration/support/node.ts";
import { Kubectl } from "./support/kubectl.ts";

/** Who has which rights by a real RBAC; the node asks with its own identity. */
const people: Record<string, readonly Right[]> = {
  "has-nothing": [],
  ...Object.fromEntries(rights.map((right) => [`has-${right}`, [right]])),
};
const { keys } = inject("controlPlane")!;

let node: TestNode;
let kubectl: Kubectl;

beforeAll(async () => {
  node = await TestNode.start();
  kubectl = new Kubectl(node.cluster);
  const items = rights.flatMap((right) => [
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: `hostlet-test-${right}` },
      rules: [{ apiGroups: [""], resources: [`nodes/${right}`], verbs: ["*"] }],
    },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: `hostlet-test-${right}` },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: `hostlet-test-${right}` },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: `has-${right}` }],
    },
  ]);
  const file = `${node.dir}/rbac.json`;
  writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  await kubectl.output("apply", "-f", file);
});
afterAll(async () => {
  const names = rights.map((right) => `hostlet-test-${right}`);
  await kubectl.run("delete", "clusterrolebinding", ...names);
  await kubectl.run("delete", "clusterrole", ...names);
  kubectl.stop();
  await node.stop();
});

async function ask(commonName: string, method: string, path: string): Promise<number> {
  const pair = clientPair(keys, { commonName });
  const asked = request({ host: "127.0.0.1", port: node.port, path, method, ca: keys.caPem, agent: false, ...pair });
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  response.resume();
  return response.statusCode ?? 0;
}

test("with each right of a real RBAC exactly its paths are open", async () => {
  // A role counts as soon as kube-apiserver has heard of it; a no is remembered for 30 s, so it is asked there first.
  await until(async () => {
    const { stdout } = await kubectl.run(
      "auth",
      "can-i",
      "get",
      "nodes",
      "--subresource=checkpoint",
      "--as=has-checkpoint",
    );
    return stdout.trim() === "yes";
  }, "the roles do not count");
  const wrong: string[] = [];
  for (const access of matrix) {
    for (const method of ["GET", ...Object.keys(access.answers).filter((one) => one !== "GET")] as Method[]) {
      for (const [name, has] of Object.entries(people)) {
        const [got, want] = [await ask(name, method, access.path), expectedCode(access, method, has)];
        if (got !== want) wrong.push(`${method} ${access.path} as ${name}: ${got}, not ${want}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test("kube-apiserver's own identity is let in: kubectl logs", async () => {
  await node.run("speaks", "echo hello");
  await node.ended("speaks");
  expect(await kubectl.output("logs", "speaks")).toBe("hello\n");
});

test("a ServiceAccount with deploy/rbac.yaml may ask the cluster who asks the node, and whether they may", async () => {
  const manifest = join(import.meta.dirname, "../../deploy/rbac.yaml");
  await kubectl.output("apply", "-f", manifest);
  const account = "--as=system:serviceaccount:hostlet:hostlet-node";
  const may = async (...what: string[]) =>
    (await kubectl.run("auth", "can-i", "create", ...what, account)).stdout.trim();
  await until(async () => (await may("tokenreviews.authentication.k8s.io")) === "yes", "TokenReviews are forbidden");
  expect(await may("subjectaccessreviews.authorization.k8s.io")).toBe("yes");
  expect(await may("deployments.apps")).toBe("no");
  await kubectl.output("delete", "-f", manifest, "--wait=false");
});
