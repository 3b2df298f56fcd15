import { createHash, type Hash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestNode, until } from "../integration/support/node.ts";
import { Kubectl } from "./support/kubectl.ts";

/** How much goes each way; 1073741824 before a release. */
const bytes = Number(process.env.HOSTLET_STREAM_BYTES ?? 64 * 1024 * 1024);

let node: TestNode;
let kubectl: Kubectl;

beforeAll(async () => {
  node = await TestNode.start();
  kubectl = new Kubectl(node.cluster);
  await node.run("target", "exec sleep 1000");
  await node.running("target");
});
afterAll(async () => {
  kubectl.stop();
  await node.stop();
});

/** Blocks of noise, each another one; their sum is in `hash`. */
function* noise(hash: Hash): Generator<Buffer> {
  const block = randomBytes(1024 * 1024);
  for (let left = bytes, i = 0; left > 0; left -= block.length, i++) {
    const piece = Buffer.from(block.subarray(0, Math.min(left, block.length)));
    piece.writeUInt32BE(i);
    hash.update(piece);
    yield piece;
  }
}

describe.each([
  ["as kubectl has it", {}],
  ["by SPDY", { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false" }],
])("much data, %s", (_what, env) => {
  test("goes through exec both ways at once, to the byte", { timeout: 600_000 }, async () => {
    const [sent, received] = [createHash("sha256"), createHash("sha256")];
    const pipe = kubectl.pipe(["exec", "-i", "target", "--", "cat"], noise(sent), env);
    let length = 0;
    for await (const chunk of pipe.stdout) {
      received.update(chunk as Buffer);
      length += (chunk as Buffer).length;
    }
    expect([await pipe.exit, length, pipe.stderr()]).toEqual([0, bytes, ""]);
    expect(received.digest("hex")).toBe(sent.digest("hex"));
  });
});

test("a hundred execs at once each have their own end", { timeout: 300_000 }, async () => {
  const codes = Array.from({ length: 100 }, async (_, i) => {
    const pipe = kubectl.pipe(["exec", "target", "--", "sh", "-c", `echo ${i}; exit ${i}`], []);
    let text = "";
    for await (const chunk of pipe.stdout) text += String(chunk);
    return [text, await pipe.exit];
  });
  expect(await Promise.all(codes)).toEqual(Array.from({ length: 100 }, (_, i) => [`${i}\n`, i]));
});

test("an agent that was restarted can exec in what it finds", async () => {
  await node.stopAgent();
  await node.startAgent();
  await until(async () => (await kubectl.run("exec", "target", "--", "echo", "again")).stdout === "again\n", "no exec");
});

test("logs --previous tells the last end but one, after several restarts", async () => {
  const script =
    'n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; echo "start $n"; test $n -lt 2 && exit 1; sleep 1000';
  await node.run("restarts", script, { restartPolicy: "OnFailure" });
  await until(async () => (await kubectl.run("logs", "restarts")).stdout === "start 2\n", "no third start");
  expect(await kubectl.output("logs", "restarts", "--previous")).toBe("start 1\n");
});
