import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Container } from "../kube/types.ts";
import { FakeHost, FakeRuntime } from "../providers/local/testing/fakeRuntime.ts";
import type { ContainerExit, RuntimeContainer } from "../runtimes/contract.ts";
import { ManualClock } from "../testing/manualClock.ts";
import { makeTerminationLog, removeTerminationLog, withTerminationMessage } from "./terminationMessage.ts";

const id = { podUID: "uid", container: "main", attempt: 1 };
const paths = { dir: "", publicDir: "/pods/default/p" };
const { signal } = new AbortController();
let clock: ManualClock;
let file: string;

beforeEach(() => {
  clock = new ManualClock();
  paths.dir = mkdtempSync(join(tmpdir(), "hostlet-message-"));
  file = join(paths.dir, "termination-log", "main.1");
});
afterEach(() => {
  rmSync(paths.dir, { recursive: true, force: true });
  expect(clock.pending).toBe(0);
});

const make = (spec: Partial<Container> = {}, mountPaths: string[] = [], ownRoot = false) =>
  makeTerminationLog(
    paths,
    id,
    { name: "main", ...spec },
    mountPaths.map((mountPath) => ({ volume: "v", source: "/x", mountPath, readOnly: false })),
    ownRoot,
  );

describe("the file of a message", () => {
  test("can be written by whatever user the container has", () => {
    make();
    expect(statSync(file).mode & 0o777).toBe(0o666);
    removeTerminationLog(paths.dir, id);
    expect(readdirSync(join(paths.dir, "termination-log"))).toEqual([]);
  });

  const table: Record<string, [ReturnType<typeof make> | (() => ReturnType<typeof make>), object]> = {
    "is mounted where the manifest says, /dev/termination-log otherwise": [
      () => make(),
      {
        mounts: [{ volume: "termination-log", mountPath: "/dev/termination-log", readOnly: false }],
        env: { HOSTLET_TERMINATION_LOG: "/pods/default/p/containers/main/dev/termination-log" },
      },
    ],
    "is known by its path where the container has a root of its own": [
      () => make({ terminationMessagePath: "/tmp/end" }, [], true),
      { mounts: [{ mountPath: "/tmp/end" }], env: { HOSTLET_TERMINATION_LOG: "/tmp/end" } },
    ],
    "is not mounted into a volume": [() => make({}, ["/data", "/dev"]), { mounts: [] }],
    "is not mounted around a volume": [() => make({}, ["/dev/termination-log/x"]), { mounts: [] }],
    "is mounted beside a volume": [() => make({}, ["/device"]), { mounts: [{ volume: "termination-log" }] }],
    "is not made where the manifest wants none": [() => make({ terminationMessagePath: "" }), { mounts: [], env: {} }],
  };
  test.each(Object.entries(table))("%s", (_name, [made, expected]) => {
    expect(typeof made === "function" ? made() : made).toMatchObject(expected);
  });
});

async function messageOf(log: string, exit: Partial<ContainerExit> = {}, spec: Partial<Container> = {}) {
  const host = new FakeHost(clock);
  const runtime = new FakeRuntime(host);
  const { podUID, container, attempt } = id;
  await runtime.start({
    id,
    namespace: "default",
    podName: "p",
    restartCount: 1,
    argv: ["echo", log],
    env: {},
    dir: "/",
    mounts: [],
    stdin: false,
    tty: false,
  });
  const ended: RuntimeContainer = {
    id: { podUID, container, attempt },
    restartCount: 1,
    containerID: "fake://1",
    exit: { exitCode: 1, reason: "Error", finishedAt: 0, ...exit },
  };
  const told = await withTerminationMessage(ended, { name: "main", ...spec }, paths, { runtime, clock }, signal);
  return told.exit?.message;
}

const fallback = { terminationMessagePolicy: "FallbackToLogsOnError" };

describe("the message is", () => {
  test("what the container wrote into its file", async () => {
    make();
    writeFileSync(file, "out of luck\n");
    expect(await messageOf("log")).toBe("out of luck\n");
    expect(await messageOf("log", { exitCode: 0 }, fallback)).toBe("out of luck\n");
  });

  test("its last 4096 bytes", async () => {
    make();
    writeFileSync(file, `${"a".repeat(5000)}${"b".repeat(4000)}`);
    expect(await messageOf("log")).toBe(`${"a".repeat(96)}${"b".repeat(4000)}`);
  });

  test("behind what the runtime has to say", async () => {
    make();
    writeFileSync(file, "mine");
    expect(await messageOf("log", { message: "its shim was killed" })).toBe("its shim was killed: mine");
  });

  test("the log where the file is empty and the policy says so", async () => {
    make();
    expect(await messageOf("broken", {}, fallback)).toBe("broken\n");
  });

  test.each([
    ["without that policy", {}, {}],
    ["of a container that succeeded", { exitCode: 0 }, fallback],
    ["of one that could not run", { reason: "ContainerCannotRun" }, fallback],
  ])("nothing, and not the log, %s", async (_name, exit, spec) => {
    make();
    expect(await messageOf("broken", exit, spec)).toBeUndefined();
  });

  test("at most the log's last 2048 bytes", async () => {
    make();
    expect(await messageOf("x".repeat(3000), {}, fallback)).toBe(`${"x".repeat(2047)}\n`);
  });

  test("not read through a link, or from a pipe or directory that the container put there", async () => {
    make();
    for (const put of [
      () => symlinkSync("/etc/passwd", file),
      () => execFileSync("mkfifo", [file]),
      () => mkdirSync(file),
    ]) {
      rmSync(file, { recursive: true, force: true });
      put();
      expect(await messageOf("log")).toBeUndefined();
    }
    rmSync(file, { recursive: true });
    expect(await messageOf("log")).toBeUndefined();
    expect(() => unlinkSync(file)).toThrow();
  });
});
