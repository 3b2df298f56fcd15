import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { constants, hostname } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { binary, Control, cleanUp, Shim, shimArguments, temporaryRoot } from "./harness.ts";

afterEach(cleanUp);

async function inBatches<T>(items: T[], run: (item: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < items.length; i += 16) await Promise.all(items.slice(i, i + 16).map(run));
}

describe("an environment from a file", () => {
  test("is all of it, to the byte, and the file is gone", async () => {
    const root = temporaryRoot();
    const file = join(root, "D", "env");
    const content = "A=1\nx\0.-=$(id) %n\\\0EMPTY=\0";
    writeFileSync(file, content);
    const shim = new Shim(["/usr/bin/env", "-0"], { root, options: ["--env-file", "env"], env: { LOST: "x" } });
    expect(await shim.exited()).toBe("exited 0");
    expect(shim.logged("stdout")).toBe(content);
    expect(existsSync(file)).toBe(false);
  });

  test("that is missing starts nothing", async () => {
    const shim = new Shim(["/bin/true"], { options: ["--env-file", "env"] });
    expect(await shim.gone).toBe(1);
  });
});

describe("how a payload ended", () => {
  test("every exit code is written down as it is", async () => {
    await inBatches([...Array(256).keys()], async (code) => {
      const shim = Shim.sh(`exit ${code}`);
      expect(await shim.exited()).toBe(`exited ${code}`);
      expect(shim.exitRecord()).toMatchObject({ v: "1", kind: "exited", code: String(code) });
      expect(await shim.gone).toBe(0);
    });
  });

  test("every deadly signal is written down as it is", async () => {
    const harmless = ["SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"];
    const deadly = Object.entries(constants.signals).filter(([name]) => !harmless.includes(name));
    const numbers = [...new Set([...deadly.map(([, number]) => number), 40, 64])];
    await inBatches(numbers, async (number) => {
      const shim = Shim.sh(`ulimit -c 0; kill -${number} $$; exec sleep 1000`);
      expect(await shim.exited()).toBe(`signaled ${number}`);
      expect(shim.exitRecord()).toMatchObject({ kind: "signaled", code: String(number) });
    });
  });

  test("times are in order, and exit code 137 is no SIGKILL", async () => {
    const before = BigInt(Date.now()) * 1_000_000n;
    const shim = Shim.sh("exit 137");
    expect(await shim.exited()).toBe("exited 137");
    const { started, finished } = shim.exitRecord();
    expect(BigInt(started ?? 0)).toBeGreaterThanOrEqual(before);
    expect(BigInt(finished ?? 0)).toBeGreaterThan(BigInt(started ?? 0));
    expect(shim.record("D/payload").started).toBe(started);
  });
});

describe("the claim", () => {
  test("a start that somebody else has claimed never happens", async () => {
    const root = temporaryRoot();
    writeFileSync(join(root, "D/claim"), "v=1\nby=agent\n");
    const shim = Shim.sh(`echo ran > ${root}/ran`, { root });
    await shim.control.line("lost");
    expect(await shim.gone).toBe(3);
    expect(existsSync(join(root, "ran"))).toBe(false);
    expect(shim.read("D/claim")).toBe("v=1\nby=agent\n");
    expect(existsSync(join(root, "E/id.0"))).toBe(false);
  });

  test("of two shims that race for a claim exactly one runs the payload", async () => {
    await inBatches([...Array(50).keys()], async () => {
      const root = temporaryRoot();
      const racers = [0, 1].map(() => Shim.sh(`echo $$ >> ${root}/ran`, { root }));
      const codes = await Promise.all(racers.map((shim) => shim.gone));
      expect(codes.sort()).toEqual([0, 3]);
      expect(readFileSync(join(root, "ran"), "utf8").trim().split("\n")).toHaveLength(1);
    });
  });

  test("the claim names the shim, its boot, its pid namespace and its host", async () => {
    const shim = Shim.sh("exec sleep 1000");
    await shim.started();
    expect(shim.record("D/claim")).toEqual({
      v: "1",
      by: "shim",
      pid: String(shim.child.pid),
      starttime: startTime(shim.child.pid ?? 0),
      bootid: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
      pidns: readlinkSync("/proc/self/ns/pid").replace(/\D/g, ""),
      host: hostname(),
      claimed: expect.stringMatching(/^\d{19}$/),
    });
  });
});

function startTime(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

describe("what the payload finds", () => {
  test("its pgid file and record are there before its first instruction", async () => {
    const root = temporaryRoot();
    const pgid = join(root, "pgid");
    const shim = Shim.sh(`read p < ${pgid}; read r < ${root}/D/payload; echo $$ $p $r`, {
      root,
      options: ["--pgid-file", pgid],
    });
    const { pid, starttime } = await shim.started();
    await shim.exited();
    expect(shim.logged("stdout")).toBe(`${pid} ${pid} v=1\n`);
    expect(shim.record("D/payload")).toMatchObject({ v: "1", pid: String(pid), starttime });
    expect(statSync(pgid).mode & 0o777).toBe(0o644);
  });

  test("no descriptors but 0, 1 and 2, default signals, a session of its own, the umask and / as working directory", async () => {
    // The payload itself, and not its shell, which blocks signals for the moment of a fork.
    const status = "exec grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status";
    const shim = Shim.sh(`ls /proc/$$/fd; umask; pwd; cat /proc/$$/stat; ${status}`);
    const { pid } = await shim.started();
    await shim.exited();
    const [fd0, fd1, fd2, umask, cwd, stat, ...signals] = shim.logged("stdout").trimEnd().split("\n");
    expect([fd0, fd1, fd2, cwd]).toEqual(["0", "1", "2", "/"]);
    expect(umask).toBe(process.umask().toString(8).padStart(4, "0"));
    const [, , pgrp, session] = (stat ?? "").slice((stat ?? "").lastIndexOf(")") + 2).split(" ");
    expect([pgrp, session]).toEqual([String(pid), String(pid)]);
    expect(signals[0]).toMatch(/^SigBlk:\s0{16}$/);
    expect(signals[1]).toMatch(/^SigIgn:\s0{16}$/);
  });

  test("its argument vector and an environment of 200 kB, to the byte", async () => {
    const env = { BIG: "x".repeat(100_000), BIGGER: `é\n${"y".repeat(100_000)}` };
    const shim = new Shim(["/usr/bin/env", "-0"], { env });
    expect(await shim.exited()).toBe("exited 0");
    const entries = Buffer.from(shim.logged("stdout"), "latin1").toString().split("\0").slice(0, -1);
    expect(entries).toEqual([`PATH=${process.env.PATH}`, `BIG=${env.BIG}`, `BIGGER=${env.BIGGER}`]);
    const named = new Shim(["/bin/sh"], { argv: ["other", "-c", "cat /proc/$$/cmdline"] });
    await named.exited();
    expect(named.logged("stdout").split("\0").slice(0, 2)).toEqual(["other", "-c"]);
  });

  test("the working directory that was asked for, in which a relative FILE is found", async () => {
    const root = temporaryRoot();
    writeFileSync(join(root, "script"), "#!/bin/sh\npwd\n", { mode: 0o755 });
    const shim = new Shim(["./script"], { root, options: ["--cwd", root] });
    expect(await shim.exited()).toBe("exited 0");
    expect(shim.logged("stdout")).toBe(`${root}\n`);
  });
});

describe("what can't be started", () => {
  const root = () => {
    const made = temporaryRoot();
    writeFileSync(join(made, "plain"), "echo no\n", { mode: 0o644 });
    writeFileSync(join(made, "garbage"), Buffer.from([0, 1, 2, 3]), { mode: 0o755 });
    return made;
  };
  test.each([
    ["a file that is not there", "missing", "ENOENT"],
    ["a file without the exec bit", "plain", "EACCES"],
    ["a file that is no program", "garbage", "ENOEXEC"],
    ["a directory", "D", "EACCES"],
  ] as const)("%s is an error with its errno", async (_, name, code) => {
    const made = root();
    const shim = new Shim([join(made, name)], { root: made });
    const errno = constants.errno[code];
    expect(await shim.exited()).toBe(`error ${errno}`);
    expect(shim.exitRecord()).toMatchObject({ kind: "error", code: String(errno), step: "exec" });
    expect(shim.exitRecord().message).toContain(join(made, name));
    expect(shim.exitRecord()).not.toHaveProperty("started");
    expect(shim.control.lines.filter((line) => line.startsWith("started"))).toEqual([]);
    expect(await shim.gone).toBe(0);
  });

  test("arguments that are too long are an error E2BIG", async () => {
    const made = temporaryRoot();
    // The kernel counts a script's path twice, so that the payload's vector outgrows the shim's, which just fits.
    const path = `${made}/${"./".repeat(1500)}script`;
    writeFileSync(join(made, "script"), "#!/bin/sh\n", { mode: 0o755 });
    const fits = (length: number) => [
      ...shimArguments(made),
      "--",
      path,
      "script",
      ...Array(length).fill("x".repeat(500)),
    ];
    const limited = (args: string[]) => ["-c", 'ulimit -s 1024; exec "$@"', "sh", binary, ...args];
    let length = 600;
    while (spawnSync("/bin/sh", limited(["x", ...fits(length)]), { env: {} }).status === 126) length--;
    const child = spawn("/bin/sh", limited(fits(length)), { env: {}, stdio: "ignore" });
    await once(child, "exit");
    expect(readFileSync(join(made, "E/id.0"), "utf8")).toMatch(/^kind=error\ncode=7$/m);
  });

  test("a working directory that is not there, or a pgid file that can't be written, is an error, and nothing runs", async () => {
    for (const [option, step] of [
      ["--cwd", "cwd"],
      ["--pgid-file", "start"],
    ] as const) {
      const made = temporaryRoot();
      const shim = Shim.sh(`echo ran > ${made}/ran`, { root: made, options: [option, join(made, "none/x")] });
      expect(await shim.exited()).toBe(`error ${constants.errno.ENOENT}`);
      expect(shim.exitRecord()).toMatchObject({ kind: "error", step });
      expect(existsSync(join(made, "ran"))).toBe(false);
    }
  });

  test("wrong usage exits with 2, a missing directory with 1, each with a message", () => {
    const made = temporaryRoot();
    const bad = (args: string[]) => spawnSync(binary, args, { encoding: "utf8" });
    for (const args of [
      [],
      ["run"],
      ["run", "--wrong"],
      [...shimArguments(made), "--id", "../x", "--", "/bin/true", "true"],
    ])
      expect(bad(args)).toMatchObject({ status: 2, stderr: expect.stringMatching(/\w/) });
    expect(bad([...shimArguments(`${made}/none`), "--", "/bin/true", "true"])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`${made}/none/D`),
    });
    expect(bad(["version"]).stdout).toMatch(/^hostlet-shim \S+\n$/);
  });
});

test("the shim outlives its parent's SIGKILL, and still writes the exit", async () => {
  const root = temporaryRoot();
  const fifo = join(root, "fifo");
  spawnSync("mkfifo", [fifo]);
  const args = [binary, ...shimArguments(root), "--", "/bin/sh", "sh", "-c", `read go < ${fifo}; exit 42`];
  const parent = spawn("/bin/sh", ["-c", '"$@" & wait', "sh", ...args], {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  const control = new Control(parent.stdio[3] as Socket);
  await control.line("started");
  process.kill(-(parent.pid ?? 0), "SIGKILL");
  await once(parent, "exit");
  writeFileSync(fifo, "go\n");
  expect(await control.line("exited")).toBe("exited exited 42");
  await control.ended;
});

test("an exit that can't be written is written once it can", async () => {
  const root = temporaryRoot();
  const exit = join(root, "E/id.0");
  mkdirSync(exit);
  const shim = Shim.sh("exit 5", { root });
  await shim.started();
  const connection = await shim.connect();
  while ((await connection.ask("signal 0")) === "ok");
  rmdirSync(exit);
  expect(await shim.exited()).toBe("exited 5");
  expect(shim.exitRecord().code).toBe("5");
});
