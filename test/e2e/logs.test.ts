import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createAuthority } from "../../src/pki/authority.ts";
import { controlPlane } from "../integration/support/controlPlane.ts";
import { TestNode, until } from "../integration/support/node.ts";
import { Kubectl } from "./support/kubectl.ts";

let node: TestNode;
let kubectl: Kubectl;

beforeAll(async () => {
  node = await TestNode.start();
  kubectl = new Kubectl(node.cluster);
});

afterAll(async () => {
  kubectl.stop();
  await node.stop();
});

test("kubectl shows the node, ready, with its runtime and its own version", async () => {
  const line = (await kubectl.output("get", "node", "node-1", "-o", "wide", "--no-headers")).trim().split(/\s{2,}/);
  expect(line.slice(0, 3)).toEqual(["node-1", "Ready", "agent"]);
  expect(line[4]).toMatch(/^v1\.\d+\.\d+\+hostlet/);
  expect(line.at(-1)).toMatch(/^process:\/\//);
});

test("kubectl logs shows what ended, what runs, and what ran before a restart", async () => {
  await node.run("ended", "seq 5; echo last >&2");
  await node.ended("ended");
  expect(await kubectl.output("logs", "ended")).toBe("1\n2\n3\n4\n5\nlast\n");
  expect(await kubectl.output("logs", "ended", "--tail=2")).toBe("5\nlast\n");
  expect(await kubectl.output("logs", "ended", "--limit-bytes=3")).toBe("1\n2");
  expect(await kubectl.output("logs", "ended", "--timestamps", "--tail=1")).toMatch(/^\d{4}-\d\d-\d\dT\S+Z last\n$/);
  expect(await kubectl.output("logs", "ended", "--since-time=2100-01-01T00:00:00Z")).toBe("");

  const script = "test -e once && echo second && exec sleep 60; touch once; echo first; exit 1";
  await node.run("again", script, { restartPolicy: "OnFailure" });
  await until(async () => (await kubectl.run("logs", "again")).stdout === "second\n", "the second start wrote nothing");
  expect(await kubectl.output("logs", "again", "--previous")).toBe("first\n");
});

test("kubectl logs -f follows until the container ends", async () => {
  await node.run("followed", "echo one; until test -e go; do sleep 0.05; done; echo two");
  await node.running("followed");
  const follower = kubectl.start("logs", "-f", "followed");
  await until(() => follower.text() === "one\n", "the first line does not come");
  writeFileSync(node.path("followed", "containers", "main", "go"), "");
  expect(await follower.exit).toBe(0);
  expect(follower.text()).toBe("one\ntwo\n");
});

test("a node whose kubelet API has a certificate of somebody else is not believed", async () => {
  const stranger = createAuthority(Date.now() - 3_600_000, Date.now() + 3_600_000);
  const lifetime = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const cluster = await controlPlane();
  const impostor = await TestNode.start(
    { nodeName: "impostor" },
    {
      cluster: {
        ...cluster,
        serving: (names) => ({
          ...stranger.issue({ commonName: "impostor", names, use: "server", ...lifetime }),
          clientCa: cluster.caPem,
        }),
      },
    },
  );
  try {
    await impostor.run("doubtful", "echo hello", { nodeName: "impostor" });
    await impostor.ended("doubtful");
    const { code, stderr } = await kubectl.run("logs", "doubtful");
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("x509") });
  } finally {
    await impostor.stop();
  }
});
