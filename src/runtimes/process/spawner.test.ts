import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clock, systemClock } from "../../clock.ts";
import { lives } from "../conformance.ts";
import { RuntimeSession } from "../conformanceSession.ts";
import { readClaim } from "./claim.ts";
import { attemptPaths } from "./layout.ts";
import { makeHarness, type ProcessHarness } from "./processHarness.ts";
import { encodeRequest } from "./spawner.ts";

const startDeadline = 10_000;

describe("a request to the spawner", () => {
  it("holds every string as it is", () => {
    const string = fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\0", ""));
    fc.assert(
      fc.property(fc.nat(), fc.array(string), fc.array(fc.tuple(string, string)), (id, args, pairs) => {
        const env = Object.fromEntries(pairs);
        const request = encodeRequest(id, args, env);
        expect(request.readUInt32BE()).toBe(request.length - 4);
        const fields = request.subarray(4).toString().split("\0");
        const entries = Object.entries(env).map(([name, value]) => `${name}=${value}`);
        expect(fields).toEqual([String(id), String(args.length), ...args, ...entries, ""]);
      }),
    );
  });

  it("is refused where a string has a NUL, or it is larger than any that could be passed on", () => {
    expect(() => encodeRequest(0, ["a\0b"], {})).toThrow(/NUL/);
    expect(() => encodeRequest(0, [], { A: "\0" })).toThrow(/NUL/);
    const huge = "x".repeat(3_000_000);
    expect(() => encodeRequest(0, [], { A: huge, B: huge, C: huge })).toThrow(/E2BIG/);
  });
});

describe("the process runtime's spawner", () => {
  let harness: ProcessHarness;
  let session: RuntimeSession;
  /** Calls that the runtime asked for at the deadline of a start. */
  let deadlines: (() => void)[];
  const clock: Clock = {
    now: systemClock.now,
    after(ms, callback) {
      if (ms !== startDeadline) return systemClock.after(ms, callback);
      deadlines.push(callback);
      return () => {};
    },
  };
  beforeEach(async () => {
    deadlines = [];
    harness = await makeHarness({ clock });
    session = await RuntimeSession.open(harness);
  });
  afterEach(async () => {
    await session.close();
    await harness.dispose();
  });

  const idOf = (attempt: number) => ({ podUID: "uid", container: `c${attempt}`, attempt });
  const sh = (script: string, attempt: number, env: Record<string, string> = {}) =>
    harness.spec({ argv: ["/bin/sh", "-c", script], id: idOf(attempt), env });
  const shimOf = (attempt: number) => readClaim(attemptPaths(harness.stateDir, idOf(attempt)).dir)?.pid as number;
  /** While the shim of this attempt has not lost its parent. */
  const spawnerOf = (attempt: number) =>
    Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${shimOf(attempt)}/status`, "utf8"))?.[1]);
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  };

  it("is one for all containers, and ends with its agent", async () => {
    await Promise.all([0, 1, 2].map((attempt) => session.start(sh("exec sleep 1000", attempt))));
    const spawner = spawnerOf(0);
    expect([spawnerOf(1), spawnerOf(2)]).toEqual([spawner, spawner]);
    await session.runtime.stop();
    await until(() => !lives(spawner));
    expect(lives(shimOf(0))).toBe(true);
    session = await RuntimeSession.open(harness);
  });

  it("takes 200 starts at once, each with an environment of 100 kB", async () => {
    const specs = Array.from({ length: 200 }, (_, i) =>
      sh(`test "\${#BIG}" = 100000 && exit ${i % 250}`, i, { BIG: String(i % 10).repeat(100_000) }),
    );
    const exits = await Promise.all(specs.map((spec) => session.run(spec)));
    expect(exits.map(({ exitCode }) => exitCode)).toEqual(specs.map((_, i) => i % 250));
  });

  it("was killed: what it had started is followed on, and the next start has another", async () => {
    for (const attempt of [0, 1]) await session.start(sh("exec sleep 1000", attempt));
    const spawner = spawnerOf(0);
    process.kill(spawner, "SIGKILL");
    await until(() => !lives(spawner));
    await session.runtime.signal(idOf(0), 15);
    expect(await session.exitOf(idOf(0))).toMatchObject({ signal: 15 });
    process.kill(shimOf(1), "SIGKILL");
    expect(await session.exitOf(idOf(1))).toMatchObject({
      reason: "ContainerStatusUnknown",
    });
    expect(await session.run(sh("exit 6", 2))).toMatchObject({ exitCode: 6 });
  });

  it("was killed among many starts: each runs once, or never", async () => {
    await session.start(sh("exec sleep 1000", 1000));
    const journal = (i: number) => join(harness.base, `ran-${i}`);
    const starts = Array.from({ length: 60 }, async (_, i) => {
      const started = session.runtime.start(sh(`echo ran >> ${journal(i)}; exit ${i}`, i));
      const error = await started.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (!error) expect(await session.exitOf(idOf(i))).toMatchObject({ exitCode: i });
      else expect(error).toMatchObject({ code: "CreateContainerFailed" });
      expect(existsSync(journal(i)) ? readFileSync(journal(i), "utf8") : "").toBe(error ? "" : "ran\n");
      return !error;
    });
    await until(() => shimOf(20) !== undefined);
    process.kill(spawnerOf(1000), "SIGKILL");
    const made = await Promise.all(starts);
    expect(made).toContain(true);
    // A shim whose news nobody hears any more must not stay to tell them.
    for (const [i, ran] of made.entries()) await until(() => !ran || !lives(shimOf(i)));
    expect(await session.run(sh("exit 9", 2000))).toMatchObject({ exitCode: 9 });
  });

  it("does not answer: the start is taken back, and never happens", async () => {
    await session.start(sh("exec sleep 1000", 0));
    const spawner = spawnerOf(0);
    process.kill(spawner, "SIGSTOP");
    const ran = join(harness.base, "ran");
    const late = session.runtime.start(sh(`echo ran > ${ran}`, 1));
    await until(() => deadlines.length === 2);
    deadlines[1]?.();
    await expect(late).rejects.toThrow(/did not come up within 10 seconds/);
    process.kill(spawner, "SIGCONT");
    expect(await session.run(sh("exit 4", 2))).toMatchObject({ exitCode: 4 });
    expect(existsSync(ran)).toBe(false);
  });

  it("can't pass on so large an environment: an end with code 128 which says what to do", async () => {
    for (const count of [50, 100]) {
      const env = Object.fromEntries(Array.from({ length: count }, (_, i) => [`V${i}`, "x".repeat(100_000)]));
      expect(await session.run(sh("true", count, env))).toMatchObject({
        exitCode: 128,
        message: expect.stringMatching(/mount large values as files/),
      });
    }
  });

  it("is there for each of two agents, one after the other", async () => {
    await session.start(sh('trap "exit 3" TERM; while :; do sleep 0.01; done', 0));
    await session.runtime.stop();
    session = await RuntimeSession.open(harness);
    await session.start(sh("exec sleep 1000", 1));
    await session.runtime.kill(idOf(1));
    await session.runtime.kill(idOf(0));
    expect(await session.exitOf(idOf(0))).toMatchObject({ signal: 9 });
    expect(await session.exitOf(idOf(1))).toMatchObject({ signal: 9 });
  });
});
