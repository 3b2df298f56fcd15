import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type LockOwner, lockStateDir, whyHeld } from "./stateLock.ts";

let dir: string;
beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), "hostlet-lock-")), "state");
});
afterEach(() => rm(join(dir, ".."), { recursive: true }));

const owner = async (): Promise<LockOwner> => {
  const names = (await readdir(dir)).filter((n) => n.startsWith("lock.")).sort();
  return JSON.parse(await readFile(join(dir, names.at(-1)!), "utf8"));
};
const failure = (): unknown => {
  try {
    lockStateDir(dir);
  } catch (error) {
    return error;
  }
  return undefined;
};
const endedProcess = async (): Promise<number> => {
  const child = spawn("true");
  await once(child, "exit");
  return child.pid!;
};

test("a directory is made for its user alone, and one agent has it at a time", async () => {
  const lock = lockStateDir(dir);
  expect((await stat(dir)).mode & 0o777).toBe(0o700);
  expect(failure()).toMatchObject({
    code: "StateLocked",
    message: expect.stringContaining(`process ${process.pid}`),
  });
  lock.release();
  lock.release();
  const again = lockStateDir(dir);
  again.release();
  expect(await readdir(dir)).toEqual([]);
});

test("a dead owner's lock is taken over once", async () => {
  const lock = lockStateDir(dir);
  const dead = { ...(await owner()), pid: await endedProcess() };
  lock.release();
  await writeFile(join(dir, "lock.7"), JSON.stringify(dead));
  const taken = lockStateDir(dir);
  expect(await readdir(dir)).toEqual(["lock.8"]);
  expect((await owner()).pid).toBe(process.pid);
  expect(() => lockStateDir(dir)).toThrow("in use by another hostlet");
  taken.release();
});

test("a living process of the owner's pid, but another start time, is somebody else", async () => {
  const lock = lockStateDir(dir);
  const former = { ...(await owner()), startTime: "1" };
  lock.release();
  await writeFile(join(dir, "lock.1"), JSON.stringify(former));
  const taken = lockStateDir(dir);
  taken.release();
});

test("a lock that can't be read is never taken over", async () => {
  const lock = lockStateDir(dir);
  lock.release();
  await writeFile(join(dir, "lock.1"), "{");
  expect(failure()).toMatchObject({
    code: "StateLocked",
    message: expect.stringContaining("remove that file"),
  });
});

test("a file in the directory's place is an error that names it", async () => {
  await writeFile(dir, "");
  expect(failure()).toMatchObject({
    code: "ConfigInvalid",
    message: expect.stringContaining(`${dir}: can't be used`),
  });
});

describe("whether an owner is dead", () => {
  const self: LockOwner = { v: 1, pid: 10, startTime: "100", bootID: "b", pidNamespace: "4", host: "h" };
  test.each<[string, Partial<LockOwner>, boolean, string | undefined]>([
    ["no process of its pid: dead", {}, false, undefined],
    ["its process runs: alive", {}, true, "in use by another hostlet (process 10)"],
    ["the host was booted since: dead", { bootID: "a" }, true, undefined],
    ["of another host: nobody here can know", { host: "other" }, false, "on host other"],
    [
      "of another host that was booted since: nobody here can know",
      { host: "other", bootID: "a" },
      false,
      "on host other",
    ],
    ["in another pid namespace: nobody here can know", { pidNamespace: "5" }, false, "another container"],
    ["of a later version: not ours to judge", { v: 2 as 1 }, false, "another version"],
  ])("%s", (_, change, alive, expected) => {
    const reason = whyHeld({ ...self, ...change }, self, alive, "lock.1");
    if (expected === undefined) expect(reason).toBeUndefined();
    else expect(reason).toContain(expected);
  });
});
