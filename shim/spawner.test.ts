import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { constants } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeRequest } from "../src/runtimes/process/spawner.ts";
import { binary, Control, cleanUp, isAlive, shimArguments, temporaryRoot } from "./harness.ts";

let child: ChildProcess;
let control: Control;
let gone: Promise<number | null>;
let root: string;
let requests = 0;

beforeEach(() => {
  root = temporaryRoot();
  child = spawn(binary, ["spawner"], { detached: true, stdio: ["ignore", "ignore", "ignore", "pipe"], env: {} });
  control = new Control(child.stdio[3] as Socket);
  gone = once(child, "exit").then(([code]) => code as number | null);
});

afterEach(async () => {
  control.socket.destroy();
  await gone;
  await cleanUp();
});

/** Asks for a shim with directories of its own. */
function request(payload: string[], env: Record<string, string> = {}): { id: number; dir: string } {
  const id = requests++;
  const dir = join(root, `shim-${id}`);
  for (const name of [dir, join(dir, "D"), join(dir, "E")]) mkdirSync(name);
  const args = [...shimArguments(dir).slice(1), "--", payload[0] ?? "", ...payload];
  control.socket.write(encodeRequest(id, args, { PATH: process.env.PATH ?? "", ...env }));
  return { id, dir };
}

const sh = (script: string, env?: Record<string, string>) => request(["/bin/sh", "-c", script], env);

async function started({ id }: { id: number }): Promise<number> {
  return Number((await control.line(`${id} started `)).split(" ")[2]);
}

function logOf({ dir }: { dir: string }): string {
  return readFileSync(join(dir, "D/logs/0.log"), "latin1");
}

describe("the spawner", () => {
  test("says what each shim says, then that it is gone", async () => {
    const [seven, killed] = [sh("exit 7"), sh("kill -9 $$")];
    expect(await control.line(`${seven.id} started`)).toMatch(/^\d+ started \d+ \d+$/);
    expect(await control.line(`${seven.id} exited`)).toBe(`${seven.id} exited exited 7`);
    expect(await control.line(`${killed.id} exited`)).toBe(`${killed.id} exited signaled 9`);
    expect(await control.line(`${seven.id} gone`)).toBe(`${seven.id} gone 0`);
    expect(await control.line(`${killed.id} gone`)).toBe(`${killed.id} gone 0`);
  });

  test("says of a start that was claimed before that it is lost", async () => {
    mkdirSync(join(root, "x/D"), { recursive: true });
    writeFileSync(join(root, "x/D/claim"), "v=1\nby=agent\n");
    const args = ["--dir", join(root, "x/D"), "--exits", root, "--id", "x", "--", "/bin/true", "true"];
    control.socket.write(encodeRequest(99_999, args, {}));
    await control.line("99999 lost");
    expect(await control.line("99999 gone")).toBe("99999 gone 3");
  });

  test("says that a shim was killed, or that its arguments were wrong", async () => {
    const shim = sh("sleep 1000");
    const payload = await started(shim);
    const pid = Number(/^pid=(\d+)$/m.exec(readFileSync(join(shim.dir, "D/claim"), "utf8"))?.[1]);
    process.kill(pid, "SIGKILL");
    process.kill(payload, "SIGKILL");
    expect(await control.line(`${shim.id} gone`)).toBe(`${shim.id} gone 137`);
    control.socket.write(encodeRequest(99_998, ["--nonsense"], {}));
    expect(await control.line("99998 gone")).toBe("99998 gone 2");
  });

  test("passes on arguments and environment to the byte, and nothing of its own", async () => {
    const env = { BIG: "x".repeat(100_000), BIGGER: `é\n${"y".repeat(100_000)}`, EMPTY: "" };
    const shim = request(["/usr/bin/env", "-0"], env);
    await control.line(`${shim.id} gone`);
    const text = logOf(shim).replace(/^\S+ stdout P (.*)\n|^\S+ stdout F (.*\n)/gm, "$1$2");
    const expected = Object.entries({ PATH: process.env.PATH, ...env }).map(([name, value]) => `${name}=${value}\0`);
    expect(Buffer.from(text, "latin1").toString()).toBe(expected.join(""));
    const payload = sh("ls /proc/$$/fd; tr '\\0' ' ' < /proc/$PPID/cmdline; cat /proc/$PPID/comm");
    await control.line(`${payload.id} gone`);
    const lines = logOf(payload).replace(/^\S+ stdout . /gm, "");
    expect(lines.startsWith(`0\n1\n2\n${binary} `)).toBe(true);
    expect(lines).toContain(`${binary} run --news ${payload.id} --dir ${payload.dir}/D`);
    expect(lines).toMatch(/ hostlet-shim\n$/);
  });

  test("says why a shim could not be executed", async () => {
    const half = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`V${i}`, "x".repeat(100_000)]));
    const shim = sh("true", half);
    expect(await control.line(`${shim.id} failed`)).toBe(`${shim.id} failed ${constants.errno.E2BIG}`);
    await control.line(`${sh("true").id} gone`);
  });

  test.each([
    ["no length", Buffer.alloc(4)],
    ["an absurd length", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["no fields", Buffer.from("\0\0\0\x04abcd", "latin1")],
    ["an id that is no number", Buffer.from("\0\0\0\x06a\x000\0x\0", "latin1")],
    ["an id that is too long", Buffer.from(`\0\0\0\x23${"1".repeat(32)}\x000\0`, "latin1")],
    ["more arguments than fields", Buffer.from("\0\0\0\x061\x003\0x\0", "latin1")],
    ["a number of arguments that is none", Buffer.from("\0\0\0\x061\0y\0x\0", "latin1")],
    ["no end", Buffer.from("\0\0\0\x051\x000\0x", "latin1")],
  ])("ends at a request with %s, and no shim with it", async (_, garbage) => {
    const shim = sh("sleep 1000");
    const payload = await started(shim);
    control.socket.write(garbage);
    expect(await gone).toBe(2);
    expect(isAlive(payload)).toBe(true);
    process.kill(payload, "SIGKILL");
    await control.line(`${shim.id} exited signaled 9`);
  });

  test("takes a request that comes byte by byte, and many that come at once", async () => {
    const bytes = encodeRequest(77_777, ["--nonsense"], {});
    for (const byte of bytes) {
      control.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await control.line("77777 gone");
    const all = Array.from({ length: 50 }, (_, i) =>
      encodeRequest(80_000 + i, ["--nonsense"], { X: "x".repeat(i * 2500) }),
    );
    control.socket.write(Buffer.concat(all));
    for (let i = 0; i < 50; i++) await control.line(`${80_000 + i} gone 2`);
  });

  test("ends when its agent does, and leaves its shims", async () => {
    const shim = sh("sleep 1000");
    const payload = await started(shim);
    control.socket.destroy();
    expect(await gone).toBe(0);
    expect(isAlive(payload)).toBe(true);
    process.kill(payload, "SIGKILL");
    while (readdirSync(join(shim.dir, "E")).length === 0) await new Promise((resolve) => setImmediate(resolve));
  });

  test("loses no news of 500 shims that end in the same moment, while nobody listens", async () => {
    const shims = Array.from({ length: 500 }, () => sh("exec sleep 1000"));
    const payloads = [];
    for (const shim of shims) payloads.push(await started(shim));
    control.socket.pause();
    for (const payload of payloads) process.kill(payload, "SIGKILL");
    while (shims.some(({ dir }) => readdirSync(join(dir, "E")).length === 0))
      await new Promise((resolve) => setImmediate(resolve));
    control.socket.resume();
    for (const { id } of shims) expect(await control.line(`${id} exited`)).toBe(`${id} exited signaled 9`);
    for (const { id } of shims) expect(await control.line(`${id} gone`)).toBe(`${id} gone 0`);
  });
});
