import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, type TestContext, test } from "vitest";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { Pod } from "../../src/kube/types.ts";
import { TestNode, terminatedState, until } from "../integration/support/node.ts";
import { random, seed } from "./support/random.ts";
import { processesWith } from "./support/up.ts";

/** Seconds without the API server; the issue asks for 120. */
const awaySeconds = Number(process.env.HOSTLET_AWAY_SECONDS ?? 10);

let node: TestNode | undefined;
let scratch: string;
let mounted: string | undefined;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "hostlet-trouble-"));
});

afterEach(async () => {
  await node?.stop();
  node = undefined;
  if (mounted) execFileSync("umount", [mounted]);
  mounted = undefined;
  expect(processesWith([scratch])).toEqual([]);
  rmSync(scratch, { recursive: true, force: true });
});

const journal = () => join(scratch, "journal");
const lines = () => (existsSync(journal()) ? readFileSync(journal(), "utf8").split("\n").filter(Boolean) : []);
const go = () => join(scratch, "go");
/** Says that it started, waits until it is let go, says that it ended. */
const waiter = (name: string, code: number) =>
  `echo start ${name} >> ${journal()}; until test -e ${go()}; do sleep 0.05; done; echo end ${name} >> ${journal()}; exit ${code}`;

/** Everything of the agent's fails; what the test asks does not. */
const ofTheNode = ({ user }: { user: string }) => user.startsWith("system:node:");

async function told(names: string[]): Promise<string[]> {
  return Promise.all(
    names.map(async (name) => {
      const pod = await node!.ended(name);
      return `${name} ${terminatedState(pod)?.exitCode} ${pod.status?.containerStatuses?.[0]?.restartCount}`;
    }),
  );
}

test(`requests that fail at random lose nothing (seed ${seed})`, async () => {
  node = await TestNode.start();
  const next = random(seed);
  const { faults } = node.cluster;
  const sometimes = (share: number) => (request: { user: string }) => ofTheNode(request) && next() < share;
  const times = Number.POSITIVE_INFINITY;
  faults!.add({ match: sometimes(0.15), kind: "status", status: 500, times });
  faults!.add({ match: sometimes(0.15), kind: "status", status: 429, retryAfter: 1, times });
  faults!.add({ match: sometimes(0.15), kind: "reset", times });
  const names = Array.from({ length: 30 }, (_, i) => `random-${i}`);
  for (const [i, name] of names.entries()) {
    const script = `echo start ${name} >> ${journal()}; sleep ${next().toFixed(2)}; echo end ${name} >> ${journal()}; exit ${i % 5}`;
    await node.run(name, script);
  }
  expect(await told(names)).toEqual(names.map((name, i) => `${name} ${i % 5} 0`));
  faults!.clear();
  expect(lines().sort()).toEqual(names.flatMap((name) => [`start ${name}`, `end ${name}`]).sort());
});

test(`${awaySeconds} s without the API server: what ended meanwhile is told at its return`, async () => {
  node = await TestNode.start();
  const names = ["away-0", "away-1", "away-2"];
  for (const [i, name] of names.entries()) await node.run(name, waiter(name, i));
  for (const name of names) await node.running(name);
  const { faults } = node.cluster;
  faults!.add({ match: ofTheNode, kind: "reset", times: Number.POSITIVE_INFINITY });
  writeFileSync(go(), "");
  await until(() => lines().length === 6, "the pods do not end");
  await delay(awaySeconds * 1000);
  faults!.clear();
  expect(await told(names)).toEqual(names.map((name, i) => `${name} ${i} 0`));
});

test("a full disk: a pod that can't be laid waits and says why, one that ends meanwhile has its exit code", async (context) => {
  const disk = tmpfs(context, "8m");
  node = await TestNode.start({ stateDir: join(disk, "state"), podsDir: join(disk, "pods") });
  await node.run("survivor", waiter("survivor", 5));
  await node.running("survivor");
  await until(() => lines().length === 1, "the pod does not run");
  const ballast = join(disk, "ballast");
  try {
    for (;;) writeFileSync(ballast, Buffer.alloc(64 * 1024), { flag: "a" });
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
  }
  await node.run("starved", `echo start starved >> ${journal()}; exit 6`);
  const messageOf = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.waiting?.message;
  const waiting = await node.pod("starved", (pod) => messageOf(pod) !== undefined);
  expect(messageOf(waiting)).toMatch(/no space left/i);
  writeFileSync(go(), "");
  await until(() => lines().length === 2, "the pod does not end");
  rmSync(ballast);
  expect(await told(["survivor", "starved"])).toEqual(["survivor 5 0", "starved 6 0"]);
  expect(lines()).toEqual(["start survivor", "end survivor", "start starved"]);
});

function tmpfs(context: TestContext, size: string): string {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", scratch], { stdio: "pipe" });
  } catch (error) {
    const why = `no file system can be mounted here: ${(error as Error).message}`;
    console.log(`SKIPPED: ${context.task.name}: ${why}`);
    context.skip(why);
  }
  mounted = scratch;
  return scratch;
}

test("records that were cut in half start nothing twice, and lose no exit code that is left", async () => {
  node = await TestNode.start();
  const names = ["cut-pod", "cut-attempt", "cut-both"];
  const pods = await Promise.all(names.map((name, i) => node!.run(name, waiter(name, i + 1))));
  for (const name of names) await node.running(name);
  await until(() => lines().length === 3, "the pods do not run");
  await node.stopAgent();
  const half = (file: string) => truncateSync(file, Math.floor(statSync(file).size / 2));
  for (const [i, { metadata }] of pods.entries()) {
    const dir = join(node.config.stateDir, "pods", metadata!.uid!);
    if (i !== 1) half(join(dir, "pod.json"));
    if (i !== 0) half(join(dir, "attempts", "main.0", "attempt.json"));
  }
  await node.startAgent();
  writeFileSync(go(), "");
  expect(await told(names)).toEqual(names.map((name, i) => `${name} ${i + 1} 0`));
  expect(lines().sort()).toEqual(names.flatMap((name) => [`start ${name}`, `end ${name}`]).sort());
});

test("a clock that is set back an hour delays no end and no restart", async () => {
  let offset = 0;
  const clock: Clock = {
    now: () => systemClock.now() + offset,
    after: (ms, callback) => systemClock.after(ms, callback),
  };
  node = await TestNode.start({}, { clock });
  const script = `trap '' TERM; echo start deaf >> ${journal()}; while :; do sleep 0.05; done`;
  await node.run("deaf", script, { terminationGracePeriodSeconds: 2 });
  await node.run(
    "restarts",
    `echo start again >> ${journal()}; test -e ${join(scratch, "twice")} && exec sleep 60; sleep 1; touch ${join(scratch, "twice")}; exit 1`,
    {
      restartPolicy: "OnFailure",
    },
  );
  await until(() => lines().length === 2, "the pods do not run");
  await node.deleteNow("deaf", 2);
  offset = -3_600_000;
  await node.gone("deaf");
  const pod = await node.pod("restarts", (p) => (p.status?.containerStatuses?.[0]?.restartCount ?? 0) === 1);
  expect(pod.status?.containerStatuses?.[0]?.state?.running).toBeDefined();
  expect(lines().sort()).toEqual(["start again", "start again", "start deaf"]);
});

test("a pod that forks without end, leaves its session and ignores what it is asked is ended to its last process", async () => {
  node = await TestNode.start();
  const marker = `86${100 + (process.pid % 800)}.5`;
  const sleepers = () => processesWith([`sleep ${marker}`]).filter((line) => /^\d+ sleep /.test(line));
  const script = `trap '' TERM HUP INT; n=0; while test $n -lt 200; do n=$((n+1)); env -i setsid sleep ${marker} & sleep 0.02; done; wait`;
  await node.run("forks", script, { terminationGracePeriodSeconds: 1 });
  await until(() => sleepers().length > 20, "the pod does not run");
  await node.deleteNow("forks", 1);
  await node.gone("forks");
  await until(() => sleepers().length === 0, "a process is left");
});

test("a shim that is killed: its tree is ended before its container is said to be over, and started again", async () => {
  node = await TestNode.start();
  const marker = `86${100 + (process.pid % 800)}.75`;
  const script = `echo start >> ${journal()}; env -i setsid sleep ${marker} & exec sleep ${marker}`;
  const sleepers = () => processesWith([`sleep ${marker}`]).filter((line) => /^\d+ sleep /.test(line));
  const { metadata } = await node.run("shimless", script, { restartPolicy: "OnFailure" });
  await until(() => sleepers().length === 2, "the pod does not run");
  const [shim = ""] = processesWith([metadata!.uid!]).filter((line) => /^\d+ \S*hostlet-shim\S* run /.test(line));
  expect(shim).not.toBe("");
  process.kill(Number(shim.split(" ")[0]), "SIGKILL");
  const pod = await node.pod("shimless", (p) => (p.status?.containerStatuses?.[0]?.restartCount ?? 0) === 1);
  expect(pod.status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({
    exitCode: 137,
    reason: "ContainerStatusUnknown",
  });
  await until(() => lines().length === 2, "it was not started again");
  await until(() => sleepers().length === 2, "a process of the start before is left");
  await node.deleteNow("shimless");
  await node.gone("shimless");
  await until(() => sleepers().length === 0, "a process is left");
  await until(() => readdirSync(join(node!.config.stateDir, "exits")).length === 0, "a record of an end is left");
});
