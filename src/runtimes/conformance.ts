import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type RuntimeHarness, RuntimeSession } from "./conformanceSession.ts";
import { streamsConformance } from "./conformanceStreams.ts";
import type { ContainerSpec } from "./contract.ts";

/** Says "ready", ends with 7 on SIGTERM. */
const waitsForTerm = "trap 'exit 7' TERM; echo ready; while :; do sleep 1000 & wait; done";

/** Whether a process lives; a zombie does not. */
export function lives(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !/\) [ZX]/.test(stat);
  } catch {
    return false;
  }
}

/**
 * What every ContainerRuntime has to keep to. Each runs it in a test file of its own.
 * @param skips by the case's name: why this runtime can't keep to it (conformanceSkips.ts)
 */
export function runtimeConformance(
  name: string,
  makeHarness: () => Promise<RuntimeHarness>,
  skips: Readonly<Record<string, string>> = {},
): void {
  describe(`${name}: as every container runtime`, () => {
    let harness: RuntimeHarness;
    let session: RuntimeSession;

    beforeEach(async ({ task, skip }) => {
      if (skips[task.name] !== undefined) skip(skips[task.name]);
      harness = await makeHarness();
      session = await RuntimeSession.open(harness);
    });
    afterEach(async () => {
      await session.close();
      await harness.dispose();
    });

    const specOf = (about: Parameters<RuntimeHarness["spec"]>[0]) => harness.spec({ id: nextID(), ...about });
    const shell = (script: string, about: Partial<ContainerSpec> = {}) =>
      specOf({ argv: ["/bin/sh", "-c", script], ...about });
    /** The container reads a line from `fifo` in its directory; the returned function gives it one. */
    const withFifo = (spec: ContainerSpec) => {
      const fifo = join(spec.dir, "fifo");
      execFileSync("mkfifo", [fifo]);
      return (line = "") =>
        writeFile(
          fifo,
          `${line}
`,
        );
    };
    const hostPid = (id: ContainerSpec["id"], pid: string | undefined) =>
      harness.hostPid?.(id, Number(pid)) ?? Number(pid);
    const nextAgent = async () => {
      await session.runtime.stop();
      session = await RuntimeSession.open(harness);
    };

    describe("stats", () => {
      const statsOf = async (spec: ContainerSpec) =>
        (await session.runtime.stats?.())?.find(
          ({ id }) =>
            id.podUID === spec.id.podUID && id.container === spec.id.container && id.attempt === spec.id.attempt,
        );

      it("tell what runs uses, over its whole tree, and nothing of what has ended", async (context) => {
        if (!session.runtime.stats) return context.skip("this runtime can't tell");
        const spec = shell("setsid sh -c 'sleep 60 & wait' & echo ready; wait");
        const { startedAt } = await session.start(spec);
        await session.seen(spec.id, /ready/);
        const ended = shell("exit 0");
        await session.run(ended);
        const stats = await statsOf(spec);
        expect(stats).toMatchObject({ id: spec.id, startedAt });
        expect(stats?.cpuNanoseconds).toBeGreaterThan(0);
        expect(stats?.memoryWorkingSetBytes).toBeGreaterThan(0);
        expect(stats?.memoryUsageBytes).toBeGreaterThanOrEqual(stats?.memoryWorkingSetBytes ?? 0);
        // A launcher may have processes of its own among them.
        await expect.poll(async () => (await statsOf(spec))?.processes).toBeGreaterThanOrEqual(3);
        expect(await statsOf(ended)).toBeUndefined();
      });

      it("keep the CPU time of children that have ended, orphans too: the counter never runs backwards", async (context) => {
        if (!session.runtime.stats) return context.skip("this runtime can't tell");
        const burn = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        const round = `(${burn}); sh -c '(sh -c "${burn}") &'; echo round`;
        const spec = shell(`for n in 1 2 3 4 5; do ${round}; done; sleep 1; echo done; sleep 60`);
        await session.start(spec);
        const seen: number[] = [];
        let over = false;
        const done = session.seen(spec.id, /done/).finally(() => {
          over = true;
        });
        while (!over) {
          seen.push((await statsOf(spec))?.cpuNanoseconds ?? 0);
          await new Promise(setImmediate);
        }
        await done;
        seen.push((await statsOf(spec))?.cpuNanoseconds ?? 0);
        expect(seen).toEqual([...seen].sort((a, b) => a - b));
        // Ten loops of 100000 rounds take longer than that on any machine, and nothing of them lives any more.
        expect(seen.at(-1)).toBeGreaterThan(50_000_000);
      });
    });

    describe("ends", () => {
      it.each([0, 1, 3, 255])("tells exit code %i as it is", async (code) => {
        const exit = await session.run(shell(`exit ${code}`));
        expect(exit).toMatchObject({ exitCode: code, reason: code === 0 ? "Completed" : "Error" });
        expect(exit.signal).toBeUndefined();
        expect(exit.startedAt).toBeLessThanOrEqual(exit.finishedAt);
      });

      it.each([9, 15, 11])("tells signal %i from an exit code of 128 and more", async (signal) => {
        const exit = await session.run(shell(`kill -${signal} $$; sleep 60`));
        expect(exit).toMatchObject({ exitCode: 128 + signal, signal, reason: "Error" });
        const plain = await session.run(shell(`exit ${128 + signal}`));
        expect(plain.exitCode).toBe(128 + signal);
        expect(plain.signal).toBeUndefined();
      });

      it("calls exited once for each of many containers, with what each ended with", async () => {
        const specs = Array.from({ length: 20 }, (_, i) => shell(`exit ${i}`));
        const exits = await Promise.all(specs.map((spec) => session.run(spec)));
        expect(exits.map((exit) => exit.exitCode)).toEqual(specs.map((_, i) => i));
        expect(session.calls).toHaveLength(20);
      });
    });

    describe("a command that can't run", () => {
      it("is 127 where there is no such program in PATH, and names it", async () => {
        const spec = specOf({ argv: ["no-such-program"], env: { PATH: "/usr/bin:/bin" } });
        const started = await session.start(spec);
        expect(started.exit).toMatchObject({ exitCode: 127, reason: "ContainerCannotRun" });
        expect(started.exit?.message).toContain("no-such-program");
        expect(session.calls).toHaveLength(0); // told only after start has resolved
        expect(await session.exitOf(spec.id)).toEqual(started.exit);
        await nextAgent();
        expect(session.recovered).toEqual([started]);
      });

      it("is 127 where the file is missing", async () => {
        const exit = await session.run(specOf({ argv: ["/no/such/file"] }));
        expect(exit).toMatchObject({ exitCode: 127, reason: "ContainerCannotRun" });
      });

      it("is 127 where the interpreter of a script is missing", async () => {
        const spec = specOf({ argv: ["./script"] });
        writeFileSync(join(spec.dir, "script"), "#!/no/such/shell\n", { mode: 0o755 });
        expect(await session.run(spec)).toMatchObject({ exitCode: 127, reason: "ContainerCannotRun" });
      });

      it.each([
        ["not executable", (file: string) => writeFileSync(file, "echo hi\n", { mode: 0o644 })],
        ["a directory", (file: string) => mkdirSync(file)],
        ["of no known format", (file: string) => writeFileSync(file, "\x01\x02\x03", { mode: 0o755 })],
      ])("is 126 where the file is %s", async (_what, make) => {
        const spec = specOf({ argv: ["./thing"] });
        make(join(spec.dir, "thing"));
        const exit = await session.run(spec);
        expect(exit).toMatchObject({ exitCode: 126, reason: "ContainerCannotRun" });
        expect(exit.message).toContain("thing");
      });

      it("says so where the working directory is missing", async () => {
        const exit = await session.run(shell("true", { workingDir: "/no/such/directory" }));
        expect(exit).toMatchObject({ exitCode: 128, reason: "ContainerCannotRun" });
        expect(exit.message).toContain("/no/such/directory");
      });

      it("names the environment variable that is too large", async () => {
        const exit = await session.run(shell("true", { env: { FINE: "x", HUGE: "x".repeat(200_000) } }));
        expect(exit.reason).toBe("ContainerCannotRun");
        expect(exit.message).toContain("HUGE");
      });

      it("says so where the whole environment is too large", async () => {
        const env = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`V${i}`, "x".repeat(100_000)]));
        const exit = await session.run(shell("true", { env }));
        expect(exit.reason).toBe("ContainerCannotRun");
        expect(exit.message).toMatch(/environment/);
      });
    });

    describe("what the container sees", () => {
      const text = fc.string({ unit: "binary", maxLength: 40 }).filter((s) => !s.includes("\0"));
      const variable = text.filter((s) => s !== "" && !s.includes("="));

      it("is the environment that was given, to the byte, and nothing else", async () => {
        const env = fc.dictionary(variable, text, { maxKeys: 6, noNullPrototype: true });
        const check = async (given: Record<string, string>) => {
          const spec = specOf({ argv: ["/usr/bin/env", "-0"], env: given });
          expect((await session.run(spec)).exitCode).toBe(0);
          const seen = (await session.log(spec.id)).split("\0").slice(0, -1);
          const own = seen.filter((pair) => !harness.addedEnv.some((added) => pair.startsWith(`${added}=`)));
          expect(own.sort()).toEqual(
            Object.entries(given)
              .map(([key, value]) => `${key}=${value}`)
              .sort(),
          );
        };
        const odd = { A: "a\nb\r\n", EMPTY: "", QUOTES: "'\"$(id)`id`\\", NODE_OPTIONS: "--nothing", ü: "\u{1f600}" };
        await fc.assert(fc.asyncProperty(env, check), { numRuns: 20, examples: [[odd], [{}]] });
      });

      it("is its own directory as working directory, or the one that was given", async () => {
        const own = shell("pwd -P");
        await session.run(own);
        expect(await session.log(own.id)).toBe(`${realpathSync(own.dir)}\n`);
        const given = shell("pwd -P", { workingDir: "/" });
        await session.run(given);
        expect(await session.log(given.id)).toBe("/\n");
      });

      it("is the command as it was given, argument by argument", async () => {
        const args = ["", " ", "a b", "$HOME", "*", "'", '"', "\\", "line\nbreak", "-n", "ü"];
        const spec = specOf({ argv: ["/bin/sh", "-c", 'printf "%s|" "$@"', "sh", ...args] });
        await session.run(spec);
        expect(await session.log(spec.id)).toBe(`${args.join("|")}|`);
      });

      it("is a terminal where it asks for one, else no input at all", async () => {
        const terminal = shell("test -t 0 && test -t 1 && test -t 2", { tty: true, stdin: true });
        expect((await session.run(terminal)).exitCode).toBe(0);
        expect((await session.run(shell("cat; test ! -t 1"))).exitCode).toBe(0);
      });

      it("is a program of PATH in its own environment", async () => {
        const spec = specOf({ argv: ["my-program"] });
        const program = join(spec.dir, "my-program");
        writeFileSync(program, "#!/bin/sh\nexit 42\n");
        chmodSync(program, 0o755);
        expect((await session.run({ ...spec, env: { PATH: `/no/such:${spec.dir}` } })).exitCode).toBe(42);
      });
    });

    describe("logs", () => {
      const script = "echo one; sleep 0.02; echo two >&2; sleep 0.02; echo three; printf four";

      it("are both streams in order, or the one that is asked for", async () => {
        const spec = shell(script);
        await session.run(spec);
        expect(await session.log(spec.id)).toBe("one\ntwo\nthree\nfour");
        expect(await session.log(spec.id, { stream: "Stderr" })).toBe("two\n");
        expect(await session.log(spec.id, { stream: "Stdout", tailLines: 2 })).toBe("three\nfour");
      });

      it("keep to tailLines, limitBytes and timestamps", async () => {
        const spec = shell(script);
        await session.run(spec);
        expect(await session.log(spec.id, { tailLines: 3 })).toBe("two\nthree\nfour");
        expect(await session.log(spec.id, { tailLines: 0 })).toBe("");
        expect(await session.log(spec.id, { tailLines: 100 })).toBe("one\ntwo\nthree\nfour");
        expect(await session.log(spec.id, { limitBytes: 6 })).toBe("one\ntw");
        const stamped = (await session.log(spec.id, { timestamps: true })).trimEnd().split("\n");
        expect(stamped.map((line) => line.split(" ")[1])).toEqual(["one", "two", "three", "four"]);
        expect(stamped.every((line) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{9})?Z /.test(line))).toBe(true);
      });

      it("keep to sinceTime and sinceSeconds", async () => {
        const spec = shell(script);
        await session.run(spec);
        const stamped = (await session.log(spec.id, { timestamps: true })).trimEnd().split("\n");
        const third = stamped[2]?.split(" ")[0] ?? "";
        expect(await session.log(spec.id, { sinceTime: third })).toBe("three\nfour");
        expect(await session.log(spec.id, { sinceSeconds: 3600 })).toBe("one\ntwo\nthree\nfour");
        expect(await session.log(spec.id, { sinceTime: "2100-01-01T00:00:00+01:00" })).toBe("");
      });

      it("can be followed from the start to the end, and from the last lines on", async () => {
        const spec = shell('echo zero; echo ready; read line < fifo; echo "$line"');
        const feed = withFifo(spec);
        await session.start(spec);
        await session.seen(spec.id, /ready/);
        const all = session.log(spec.id, { follow: true });
        const last = session.log(spec.id, { follow: true, tailLines: 1 });
        await session.seen(spec.id, /ready/);
        await feed("go on");
        expect(await all).toBe("zero\nready\ngo on\n");
        expect(await last).toMatch(/^ready\ngo on\n$/);
      });

      it("of a container that does not exist are NotFound", async () => {
        await expect(session.log(nextID())).rejects.toMatchObject({ code: "NotFound" });
      });
    });

    describe("signals", () => {
      it("reach the main process, which may end as it likes", async () => {
        const spec = shell(waitsForTerm);
        await session.start(spec);
        await session.seen(spec.id, /ready/);
        await session.runtime.signal(spec.id, 15);
        expect(await session.exitOf(spec.id)).toMatchObject({ exitCode: 7 });
        await session.runtime.signal(spec.id, 15); // has ended: not an error
        await session.runtime.kill(spec.id);
      });

      it("kill ends the whole tree, a daemonised grandchild too", async () => {
        const daemon = "(setsid setsid sh -c 'echo daemon $$; exec sleep 1000' >&1 &)";
        const spec = shell(`trap '' TERM HUP INT; ${daemon}; while :; do sleep 1000; done`);
        await session.start(spec);
        const pid = hostPid(spec.id, (await session.seen(spec.id, /daemon (\d+)/))[1]);
        expect(lives(pid)).toBe(true);
        await session.runtime.kill(spec.id);
        expect(await session.exitOf(spec.id)).toMatchObject({ exitCode: 137, signal: 9 });
        expect(lives(pid)).toBe(false);
      });

      it("nothing outlives the main process", async () => {
        const spec = shell(
          "(setsid setsid sh -c 'echo daemon $$; exec sleep 1000' &); until read x < fifo; do :; done; exit 4",
        );
        const feed = withFifo(spec);
        await session.start(spec);
        const pid = hostPid(spec.id, (await session.seen(spec.id, /daemon (\d+)/))[1]);
        await feed();
        expect(await session.exitOf(spec.id)).toMatchObject({ exitCode: 4 });
        expect(lives(pid)).toBe(false);
      });
    });

    describe("the next agent", () => {
      it("finds a running container as it was, and follows it to its end", async () => {
        const spec = shell(waitsForTerm, { restartCount: 3 });
        const started = await session.start(spec);
        await session.seen(spec.id, /ready/);
        await nextAgent();
        expect(session.recovered).toEqual([started]);
        expect(started).toMatchObject({ id: spec.id, restartCount: 3 });
        await session.runtime.signal(spec.id, 15);
        expect(await session.exitOf(spec.id)).toMatchObject({ exitCode: 7, startedAt: started.startedAt });
        expect(session.calls).toHaveLength(1);
        expect(await session.log(spec.id)).toMatch(/^ready\n/);
      });

      it("learns how a container ended while there was no agent", async () => {
        const spec = shell("read x < fifo; exit 5");
        const feed = withFifo(spec);
        await session.start(spec);
        await session.runtime.stop();
        await feed();
        session = await RuntimeSession.open(harness);
        expect(await session.exitOf(spec.id)).toMatchObject({ exitCode: 5, reason: "Error" });
        await nextAgent();
        expect(session.recovered).toHaveLength(1);
        expect(session.recovered[0]?.exit).toMatchObject({ exitCode: 5 });
        expect(session.calls).toHaveLength(0);
      });

      it("settles a start that was decided but never made: it never runs", async ({ skip }) => {
        if (!harness.leaveUndecidedStart) return skip("this runtime has no moment between decision and start");
        const spec = shell("true");
        await session.runtime.stop();
        await harness.leaveUndecidedStart(spec);
        session = await RuntimeSession.open(harness);
        expect(session.recovered).toEqual([]);
      });
    });

    it("remove forgets the container, for the next agent too", async () => {
      const spec = shell("echo hi");
      await session.run(spec);
      await session.runtime.remove(spec.id);
      await expect(session.log(spec.id)).rejects.toMatchObject({ code: "NotFound" });
      await nextAgent();
      expect(session.recovered).toEqual([]);
    });

    it("stop may be called twice, and nobody is called after it", async () => {
      const spec = shell(waitsForTerm);
      await session.start(spec);
      const stopped = session;
      await stopped.runtime.stop();
      await stopped.runtime.stop();
      session = await RuntimeSession.open(harness);
      await session.runtime.kill(spec.id);
      await session.exitOf(spec.id);
      expect(stopped.calls).toEqual([]);
    });
  });
  streamsConformance(name, makeHarness, skips);
}

let last = 0;

/** Another attempt of another container. */
function nextID(): ContainerSpec["id"] {
  return { podUID: "0c0ffee0-0000-4000-8000-000000000000", container: `c${++last}`, attempt: 0 };
}
