import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, type TestContext } from "vitest";
import { type RuntimeHarness, RuntimeSession } from "./conformanceSession.ts";
import type { ContainerSpec } from "./contract.ts";
import type { ContainerStreams, ExecRequest, StreamsEnd } from "./streams.ts";

const mebibyte = 1024 * 1024;

/** What every ContainerRuntime with exec and attach has to keep to; a part of `runtimeConformance`. */
export function streamsConformance(
  name: string,
  makeHarness: () => Promise<RuntimeHarness>,
  skips: Readonly<Record<string, string>> = {},
): void {
  describe(`${name}: streams as of every container runtime`, () => {
    let harness: RuntimeHarness;
    let session: RuntimeSession;
    const abort = new AbortController();

    beforeEach(async ({ task, skip }) => {
      if (skips[task.name] !== undefined) skip(skips[task.name]);
      harness = await makeHarness();
      session = await RuntimeSession.open(harness);
    });
    afterEach(async () => {
      await session.close();
      await harness.dispose();
    });

    let last = 0;
    /** A container that runs and says what it reads from a FIFO; `ready` once it does. */
    const startContainer = async (about: Partial<ContainerSpec> = {}) => {
      const id = { podUID: "0c0ffee0-0000-4000-8000-00000000000e", container: `e${++last}`, attempt: 0 };
      const argv = ["/bin/sh", "-c", "echo ready; while :; do sleep 1000; done"];
      const spec = harness.spec({ id, argv, env: { PATH: "/usr/bin:/bin", GREETING: "hello you" }, ...about });
      await session.start(spec);
      await session.seen(id, /ready/);
      return spec;
    };
    const exec = (spec: ContainerSpec, argv: string[], request: Partial<ExecRequest> = {}) =>
      session.runtime.exec!(spec.id, { argv, stdin: false, tty: false, ...request }, abort.signal);
    const sh = (spec: ContainerSpec, script: string, request: Partial<ExecRequest> = {}) =>
      exec(spec, ["/bin/sh", "-c", script], request);
    const hostPid = ({ id }: ContainerSpec, pid: string | undefined) =>
      harness.hostPid?.(id, Number(pid)) ?? Number(pid);
    const canExec = ({ skip }: TestContext) => {
      if (!session.runtime.exec) skip("this runtime can't exec");
    };

    describe("exec", () => {
      beforeEach(canExec);

      it.each([0, 1, 42, 255])("tells exit code %i, and both streams apart", async (code) => {
        const spec = await startContainer();
        const all = await collect(await sh(spec, `printf out; printf err >&2; exit ${code}`));
        expect(all).toEqual({ stdout: "out", stderr: "err", end: { exitCode: code } });
      });

      it("tells a signal from an exit code", async () => {
        const spec = await startContainer();
        expect((await collect(await sh(spec, "kill -9 $$"))).end).toMatchObject({ exitCode: 137, signal: 9 });
        expect((await collect(await sh(spec, "exit 137"))).end).toEqual({ exitCode: 137 });
      });

      it("has the container's environment, and its working directory", async () => {
        const spec = await startContainer();
        const { stdout } = await collect(await sh(spec, 'echo "$GREETING"; pwd -P'));
        expect(stdout).toBe(`hello you\n${realpathSync(spec.dir)}\n`);
      });

      it("is found in the container's PATH; 127 with a message where it is not, 126 where it can't be run", async () => {
        const spec = await startContainer();
        expect((await collect(await exec(spec, ["true"]))).end).toEqual({ exitCode: 0 });
        const { end, stderr } = await collect(await exec(spec, ["no-such-program"]));
        expect(end.exitCode).toBe(127);
        expect(`${end.message}${stderr}`).toContain("no-such-program");
        expect((await collect(await exec(spec, ["/"]))).end).toMatchObject({ exitCode: 126 });
      });

      it("has no standard input unless it asks for one, and one that can be closed where it does", async () => {
        const spec = await startContainer();
        expect((await collect(await exec(spec, ["cat"]))).end).toEqual({ exitCode: 0 });
        const streams = await exec(spec, ["cat"], { stdin: true });
        streams.stdin!.write("one ");
        streams.stdin!.end("two");
        expect(await collect(streams)).toMatchObject({ stdout: "one two", end: { exitCode: 0 } });
      });

      it("may re-open its own streams, as > /dev/stderr does", async () => {
        const spec = await startContainer();
        const all = await collect(await sh(spec, "echo out > /dev/stdout; echo err > /dev/stderr"));
        expect(all).toEqual({ stdout: "out\n", stderr: "err\n", end: { exitCode: 0 } });
      });

      it("carries binary data both ways at once, to the byte", async () => {
        const spec = await startContainer();
        const streams = await exec(spec, ["cat"], { stdin: true });
        const sent = createHash("sha256");
        const writing = writeNoise(streams.stdin!, 8 * mebibyte, (chunk) => sent.update(chunk));
        const received = createHash("sha256");
        for await (const chunk of streams.stdout) received.update(chunk);
        await writing;
        expect(received.digest("hex")).toBe(sent.digest("hex"));
        expect(await streams.ended).toEqual({ exitCode: 0 });
      });

      it("stops a writer whom nobody reads, and neither loses nor holds what it wrote", async () => {
        const spec = await startContainer();
        const script = "head -c 4194304 /dev/zero; echo written > progress; echo done >&2";
        const streams = await sh(spec, script);
        await once(streams.stdout, "readable");
        // The other stream, and another exec, go on meanwhile.
        expect((await collect(await exec(spec, ["echo", "other"]))).stdout).toBe("other\n");
        expect(existsSync(join(spec.dir, "progress"))).toBe(false);
        expect(streams.stdout.readableLength).toBeLessThan(mebibyte);
        const { stdout, end } = await collect(streams);
        expect([stdout.length, end]).toEqual([4 * mebibyte, { exitCode: 0 }]);
      });

      it("tells its end to who has not read its output yet, and keeps that", async () => {
        const spec = await startContainer();
        const streams = await sh(spec, "echo late; echo later >&2");
        expect(await streams.ended).toEqual({ exitCode: 0 });
        expect(await collect(streams)).toMatchObject({ stdout: "late\n", stderr: "later\n" });
      });

      it("throws away input that the command doesn't want, or no longer", async () => {
        const spec = await startContainer();
        const streams = await sh(spec, "exec <&-; echo closed; sleep 0.1; exit 3", { stdin: true });
        await writeNoise(streams.stdin!, 2 * mebibyte);
        streams.stdin!.end();
        expect((await collect(streams)).end).toEqual({ exitCode: 3 });
      });

      it("has a terminal of the size that it is given", async () => {
        const spec = await startContainer();
        const script = 'read go; stty size; test -t 0 && test -t 1 && test -t 2; echo "tty $?"';
        const streams = await sh(spec, script, { tty: true, stdin: true });
        expect(streams.stderr).toBeUndefined();
        streams.resize(33, 77);
        streams.stdin!.write("go\n");
        const { stdout, end } = await collect(streams);
        expect(stdout).toContain("33 77\r\ntty 0\r\n");
        expect(end).toEqual({ exitCode: 0 });
      });

      it("learns of another size, and of the end of input, on its terminal", async () => {
        const spec = await startContainer();
        const script = "trap 'stty size' WINCH; echo go; while read line; do :; done; echo over";
        const streams = await exec(spec, ["bash", "-c", script], { tty: true, stdin: true });
        await until(streams.stdout, /go/);
        streams.resize(11, 22);
        streams.stdin!.write("x\n");
        await until(streams.stdout, /11 22/);
        streams.stdin!.end();
        await until(streams.stdout, /over/);
        expect(await streams.ended).toEqual({ exitCode: 0 });
      });

      it("ends with all that it started when it is closed, or its signal aborts", async () => {
        const spec = await startContainer();
        const child = "setsid sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 1000' &";
        const aborting = new AbortController();
        for (const end of [(s: ContainerStreams) => s.close(), () => aborting.abort()]) {
          const script = `rm -f pid; ${child} until test -e pid; do sleep 0.01; done; echo up; trap '' TERM HUP; while :; do sleep 1000; done`;
          const request = { argv: ["/bin/sh", "-c", script], stdin: false, tty: false };
          const streams = await session.runtime.exec!(spec.id, request, aborting.signal);
          await until(streams.stdout, /up/);
          const pid = hostPid(spec, readFileSync(join(spec.dir, "pid"), "utf8"));
          expect(livesHere(pid)).toBe(true);
          end(streams);
          expect((await streams.ended).exitCode).toBe(137);
          while (livesHere(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
          streams.close();
        }
        expect((await collect(await exec(spec, ["true"]))).end).toEqual({ exitCode: 0 });
      });

      it("ends with its container", async () => {
        const spec = await startContainer();
        const streams = await sh(spec, "echo up; sleep 1000");
        await until(streams.stdout, /up/);
        await session.runtime.kill(spec.id);
        expect(await streams.ended).toMatchObject({ exitCode: 137, signal: 9 });
        await session.exitOf(spec.id);
        await expect(exec(spec, ["true"])).rejects.toMatchObject({ code: "NotFound" });
      });

      it("of a container that was never there is NotFound", async () => {
        const spec = harness.spec({ id: { podUID: "nobody", container: "c", attempt: 0 }, argv: ["true"] });
        await expect(exec(spec, ["true"])).rejects.toMatchObject({ code: "NotFound" });
      });

      it("works for fifty at once", async () => {
        const spec = await startContainer();
        const all = Array.from({ length: 50 }, async (_, i) => collect(await sh(spec, `echo ${i}; exit ${i}`)));
        const expected = Array.from({ length: 50 }, (_, i) => ({ stdout: `${i}\n`, stderr: "", end: { exitCode: i } }));
        expect(await Promise.all(all)).toEqual(expected);
      });

      it("works for the next agent as for the one that started the container; the earlier one's have ended", async () => {
        const spec = await startContainer();
        const old = await sh(spec, "echo $$; exec sleep 1000");
        const pid = hostPid(spec, (await until(old.stdout, /^(\d+)\n/))[1]);
        await session.runtime.stop();
        expect((await old.ended).exitCode).toBe(137);
        session = await RuntimeSession.open(harness);
        while (livesHere(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
        const { stdout } = await collect(await sh(spec, 'echo "$GREETING"; pwd -P'));
        expect(stdout).toBe(`hello you\n${realpathSync(spec.dir)}\n`);
      });
    });

    describe("attach", () => {
      beforeEach(({ skip }) => {
        if (!session.runtime.attach) skip("this runtime can't attach");
      });
      const attach = (spec: ContainerSpec, stdin: boolean) => session.runtime.attach!(spec.id, { stdin }, abort.signal);
      const echoes = {
        argv: ["/bin/sh", "-c", 'echo ready; while read line; do echo "got $line"; echo "err $line" >&2; done; exit 9'],
        stdin: true,
      };

      it("gives what is written from now on, to each who attached, and takes input", async () => {
        const spec = await startContainer(echoes);
        const watcher = await attach(spec, false);
        expect(watcher.stdin).toBeUndefined();
        const streams = await attach(spec, true);
        streams.stdin!.write("a\n");
        expect(await until(streams.stdout, /got a\n/)).toBeTruthy();
        expect(await until(watcher.stderr!, /err a\n/)).toBeTruthy();
        watcher.close();
        streams.close();
        await session.seen(spec.id, /err a\n/);
      });

      it("leaves the container running with its input open when a client lets go, and tells its end", async () => {
        const spec = await startContainer(echoes);
        const first = await attach(spec, true);
        first.stdin!.end("a\n");
        await until(first.stdout, /got a\n/);
        first.close();
        const second = await attach(spec, true);
        second.stdin!.write("b\n");
        await until(second.stdout, /got b\n/);
        await session.runtime.kill(spec.id);
        expect(await second.ended).toMatchObject({ exitCode: 137, signal: 9 });
      });

      it("closes the input with the first who lets go, where the container asks for that", async () => {
        const spec = await startContainer({ ...echoes, stdinOnce: true });
        const streams = await attach(spec, true);
        streams.stdin!.end("a\n");
        expect(await collect(streams)).toMatchObject({ stdout: "got a\n", stderr: "err a\n", end: { exitCode: 9 } });
        await expect(attach(spec, true)).rejects.toMatchObject({ code: "NotFound" });
      });

      it("shares a terminal, and its size", async () => {
        const argv = ["/bin/sh", "-c", "echo ready; while read line; do stty size; done"];
        const spec = await startContainer({ argv, tty: true, stdin: true });
        const streams = await attach(spec, true);
        expect(streams.stderr).toBeUndefined();
        streams.resize(12, 34);
        streams.stdin!.write("go\n");
        await until(streams.stdout, /12 34\r\n/);
        streams.close();
      });

      it("gives a burst whole, while it is read", async () => {
        const argv = ["/bin/sh", "-c", "echo ready; read go; head -c 5000000 /dev/zero; exit 2"];
        const spec = await startContainer({ argv, stdin: true });
        const streams = await attach(spec, true);
        streams.stdin!.write("go\n");
        const { stdout, end } = await collect(streams);
        expect([stdout.length, end]).toEqual([5_000_000, { exitCode: 2 }]);
      });

      it("is refused where there is nothing to attach to", async () => {
        const spec = await startContainer();
        await expect(attach(spec, true)).rejects.toMatchObject({ code: "NotSupported" });
        await session.runtime.kill(spec.id);
        await session.exitOf(spec.id);
        await expect(attach(spec, false)).rejects.toMatchObject({ code: "NotFound" });
      });
    });
  });
}

interface Collected {
  stdout: string;
  stderr: string;
  end: StreamsEnd;
}

async function text(stream: Readable | undefined): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

async function collect(streams: ContainerStreams): Promise<Collected> {
  const [stdout, stderr, end] = await Promise.all([text(streams.stdout), text(streams.stderr), streams.ended]);
  return { stdout, stderr, end };
}

/** Reads on until it matches; what came behind the match is given up. */
async function until(stream: Readable, pattern: RegExp): Promise<RegExpExecArray> {
  let seen = "";
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    seen += Buffer.from(chunk).toString("latin1");
    const match = pattern.exec(seen);
    if (match) return match;
  }
  throw new Error(`the stream ended without ${pattern}: ${seen}`);
}

/** Bytes of all values, in an order that a lost or doubled piece would disturb. Ends the stream. */
async function writeNoise(stream: Writable, bytes: number, each: (chunk: Buffer) => void = () => {}): Promise<void> {
  let state = 1;
  for (let left = bytes; left > 0; ) {
    const chunk = Buffer.allocUnsafe(Math.min(left, 65_521));
    for (let i = 0; i < chunk.length; i++) {
      state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
      chunk[i] = state >> 16;
    }
    each(chunk);
    left -= chunk.length;
    if (!stream.write(chunk)) await once(stream, "drain");
  }
  stream.end();
}

/** Of a runtime whose processes are this host's. */
function livesHere(pid: number): boolean {
  try {
    return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
