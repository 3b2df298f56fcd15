import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { binary, childrenOf, cleanUp, compile, isAlive, Shim, temporaryRoot, withEnvironment } from "./harness.ts";

afterEach(cleanUp);

/** A daemon as daemons do it: forked twice, its own session, no environment. It writes its pid before its parent goes on. */
const daemon = `sh -c 'setsid env -i /bin/sh -c "echo \\$\\$; exec sleep 1000" & wait' & `;
const pids = (shim: Shim) => shim.logged("stdout").trim().split("\n").map(Number);

/** Shims for kernels with and without /proc/PID/task/TID/children: the files that the test writes below `tasks` stand for it. */
let work = "";
let tasks = "";
let withChildren = "";
let withoutChildren = "";
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "shim-tree-"));
  tasks = join(work, "tasks");
  withChildren = compile(join(work, "with"), [`-DTASKS="${tasks}"`]);
  withoutChildren = compile(join(work, "without"), ['-DTASKS="/nowhere"']);
});
afterAll(() => rmSync(work, { recursive: true }));

function writeChildren(parent: number, children: number[]): void {
  mkdirSync(join(tasks, `${parent}/task/${parent}`), { recursive: true });
  writeFileSync(join(tasks, `${parent}/task/${parent}/children`), children.map((pid) => `${pid} `).join(""));
}

describe.each([
  ["on this kernel", () => binary],
  ["on a kernel without /proc/PID/task/TID/children", () => withoutChildren],
])("the tree, %s", (_, which) => {
  test("a daemon is dead once the payload's exit is written", async () => {
    const root = temporaryRoot();
    spawnSync("mkfifo", [join(root, "fifo")]);
    const script = `setsid sh -c '(env -i /bin/sh -c "echo \\$\\$ > ${root}/fifo; exec sleep 1000" &)'; read pid < ${root}/fifo; echo $pid; exit 4`;
    const shim = Shim.sh(script, { root, binary: which() });
    expect(await shim.exited()).toBe("exited 4");
    const [pid = 0] = pids(shim);
    expect(pid).toBeGreaterThan(1);
    expect(isAlive(pid)).toBe(false);
    expect(await shim.gone).toBe(0);
  });

  test("a daemon is dead after `kill`, as is a payload that ignores SIGTERM", async () => {
    const shim = Shim.sh(`trap "" TERM; ${daemon} while :; do sleep 1000; done`, { binary: which() });
    const attached = await shim.connect();
    await attached.attach(false);
    const { pid } = await shim.started();
    while (shim.logged("stdout") === "") await shim.control.ask("ping");
    expect(await shim.control.ask("signal 15")).toBe("ok");
    expect(await shim.control.ask("ping")).toBe("ok");
    expect([pid, ...pids(shim)].map(isAlive)).toEqual([true, true]);
    shim.control.say("kill");
    expect(await shim.exited()).toBe("signaled 9");
    expect([pid, ...pids(shim)].map(isAlive)).toEqual([false, false]);
  });

  test("processes that fork and exit all the time can't outrun it, nor can very many", async () => {
    const root = temporaryRoot();
    // Ends by itself should the shim fail: 2,000 generations, not for ever.
    writeFileSync(join(root, "hop"), `[ $1 -gt 0 ] && setsid sh ${root}/hop $(($1 - 1)) &\n`);
    const many = "i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done";
    const hopping = `for i in 1 2 3 4 5 6 7 8 9 10; do sh ${root}/hop 2000 & done`;
    const shim = Shim.sh(`${many}; ${hopping}; echo ready; exec sleep 1000`, {
      root,
      env: { SHIM_TEST_BOMB: root },
      binary: which(),
    });
    await shim.started();
    while (shim.logged("stdout") === "") await shim.control.ask("ping");
    expect(withEnvironment(`SHIM_TEST_BOMB=${root}`).length).toBeGreaterThan(200);
    shim.control.say("kill");
    expect(await shim.exited()).toBe("signaled 9");
    expect(await shim.gone).toBe(0);
    expect(withEnvironment(`SHIM_TEST_BOMB=${root}`)).toEqual([]);
  });
});

test("a stopped daemon that holds the pipe delays nothing", async () => {
  const shim = Shim.sh("setsid sleep 1000 & kill -STOP $!; echo $!; exit 6");
  expect(await shim.exited()).toBe("exited 6");
  expect(pids(shim).map(isAlive)).toEqual([false]);
  expect(await shim.gone).toBe(0);
});

test("on a kernel with /proc/PID/task/TID/children, what is listed there is the tree", async () => {
  const shim = Shim.sh("i=0; while [ $i -lt 200 ]; do sleep 1000 & echo $!; i=$((i+1)); done; exec sleep 1000", {
    binary: withChildren,
  });
  const { pid } = await shim.started();
  while (shim.logged("stdout").split("\n").length < 201) await shim.control.ask("ping");
  // No child of the shim, but listed as one: who kills it has read the files.
  const listed = spawn("sleep", ["1000"], { stdio: "ignore" });
  writeChildren(shim.child.pid ?? 0, [pid]);
  writeChildren(pid, pids(shim));
  writeChildren(pids(shim).at(-1) ?? 0, [listed.pid ?? 0]);
  shim.control.say("kill");
  expect(await shim.exited()).toBe("signaled 9");
  if (listed.signalCode === null) await once(listed, "exit");
  expect([...pids(shim), pid, listed.pid ?? 0].filter(isAlive)).toEqual([]);
});

test("orphans are reaped while the payload runs", async () => {
  const shim = Shim.sh("i=0; while [ $i -lt 100 ]; do (true & true); i=$((i+1)); done; echo done; exec sleep 1000");
  const { pid } = await shim.started();
  while (shim.logged("stdout") === "") await shim.control.ask("ping");
  while (String(childrenOf(shim.child.pid ?? 0)) !== String(pid)) await shim.control.ask("ping");
});

describe("kill-tree, when the shim is gone", () => {
  const killTree = (pid: number, starttime: string, attempt: string) =>
    spawnSync(binary, ["kill-tree", String(pid), starttime], { encoding: "utf8", env: { HOSTLET_ATTEMPT: attempt } });

  async function orphaned(script: string) {
    const root = temporaryRoot();
    const shim = Shim.sh(script, { root, env: { HOSTLET_ATTEMPT: root } });
    const payload = await shim.started();
    while (shim.logged("stdout").split("\n").length < 3) await shim.control.ask("ping");
    shim.child.kill("SIGKILL");
    await shim.gone;
    return { root, ...payload, others: pids(shim) };
  }

  test("kills the payload, its session, those with its mark, and all below them", async () => {
    const script = "sleep 1000 & echo $!; setsid sh -c 'echo $$; env -i sleep 1000 & wait' & exec sleep 1000";
    const { root, pid, starttime, others } = await orphaned(script);
    expect([pid, ...others].map(isAlive)).toEqual([true, true, true]);
    const result = killTree(pid, starttime, root);
    expect(result).toMatchObject({ status: 0, stdout: "4\n" });
    expect([pid, ...others].map(isAlive)).toEqual([false, false, false]);
    expect(withEnvironment(`HOSTLET_ATTEMPT=${root}`)).toEqual([]);
    expect(killTree(pid, starttime, root)).toMatchObject({ status: 0, stdout: "0\n" });
  });

  test("leaves a stranger alone who has the pid now, and marks that only begin alike", async () => {
    const { root, pid, starttime, others } = await orphaned(
      "sleep 1000 & echo $!; sleep 1000 & echo $!; exec sleep 1000",
    );
    expect(killTree(pid, String(BigInt(starttime) + 1n), `${root.slice(0, -1)}`)).toMatchObject({
      status: 0,
      stdout: "0\n",
    });
    expect([pid, ...others].map(isAlive)).toEqual([true, true, true]);
    expect(killTree(pid, starttime, "")).toMatchObject({ status: 0, stdout: "3\n" });
    expect([pid, ...others].map(isAlive)).toEqual([false, false, false]);
  });
});
