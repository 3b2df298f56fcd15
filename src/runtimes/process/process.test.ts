import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lives, runtimeConformance } from "../conformance.ts";
import { RuntimeSession } from "../conformanceSession.ts";
import type { ContainerSpec } from "../contract.ts";
import { readClaim } from "./claim.ts";
import { attemptPaths, makeAttemptDir } from "./layout.ts";
import { makeHarness, type ProcessHarness } from "./processHarness.ts";

runtimeConformance("process", () => makeHarness());

describe("the process runtime", () => {
  let harness: ProcessHarness;
  let session: RuntimeSession;
  beforeEach(async () => {
    harness = await makeHarness();
    session = await RuntimeSession.open(harness);
  });
  afterEach(async () => {
    await session.close();
    await harness.dispose();
  });

  const paths = (spec: ContainerSpec) => attemptPaths(harness.stateDir, spec.id);
  const nextAgent = async () => {
    await session.runtime.stop();
    session = await RuntimeSession.open(harness);
  };
  const sleeper = (about: Partial<ContainerSpec> = {}) =>
    harness.spec({ argv: ["/bin/sh", "-c", "echo ready $$; sleep 1000; exit 1"], restartCount: 2, ...about });
  /** A sleeper that runs; with the pids of its shim and of itself. */
  const startSleeper = async (spec = sleeper()) => {
    const container = await session.start(spec);
    const pid = Number((await session.seen(spec.id, /ready (\d+)/))[1]);
    return { spec, container, pid, shim: readClaim(paths(spec).dir)?.pid as number };
  };
  const unknown = { exitCode: 137, reason: "ContainerStatusUnknown" };

  it("writes the process group where the pod's tools look for it", async () => {
    const { spec, pid } = await startSleeper();
    expect(readFileSync(join(spec.dir, "pgid"), "utf8")).toBe(`${pid}\n`);
  });

  it("shows the mounts below the container's directory", async () => {
    const source = join(harness.base, "pods/uid/emptydirs/v");
    mkdirSync(source, { recursive: true });
    const mounts = [{ volume: "v", source, mountPath: "/data/v", readOnly: false }];
    const spec = harness.spec({ argv: ["/bin/sh", "-c", "echo hi > data/v/file"], mounts });
    expect(await session.run(spec)).toMatchObject({ exitCode: 0 });
    expect(readFileSync(join(source, "file"), "utf8")).toBe("hi\n");
  });

  it("starts nothing where a mount can't be made, and leaves no trace of it", async () => {
    const mounts = [{ volume: "v", source: harness.base, mountPath: "/pgid", readOnly: false }];
    const spec = harness.spec({ argv: ["true"], mounts });
    await expect(session.runtime.start(spec)).rejects.toMatchObject({ code: "CreateContainerFailed" });
    symlinkSync("/", join(spec.dir, "etc"));
    const hostile = [{ volume: "v", source: harness.base, mountPath: "/etc/hostlet-test/x", readOnly: false }];
    await expect(session.runtime.start({ ...spec, mounts: hostile })).rejects.toThrow(/not a directory but a link/);
    await nextAgent();
    expect(session.recovered).toEqual([]);
  });

  it.each([
    ["", 0],
    ["a/b", 0],
    ["..", 0],
    ["c_d", 0],
    ["c", -1],
    ["c", 0.5],
  ])("refuses an id that is no name of a file: container %j, attempt %d", async (container, attempt) => {
    const spec = { ...sleeper(), id: { podUID: "uid", container, attempt } };
    await expect(session.runtime.start(spec)).rejects.toMatchObject({ code: "CreateContainerFailed" });
  });

  it("leaves nothing of an exec running when it has ended or was closed, a daemon neither", async () => {
    const { spec } = await startSleeper();
    const { signal } = new AbortController();
    for (const end of ["exit 0", "sleep 1000"]) {
      const argv = ["/bin/sh", "-c", `(setsid setsid sh -c 'echo $$; exec sleep 1000' &); read pid; ${end}`];
      const streams = await session.runtime.exec!(spec.id, { argv, stdin: true, tty: false }, signal);
      const [chunk] = (await once(streams.stdout, "data")) as [Buffer];
      expect(lives(Number(chunk))).toBe(true);
      streams.stdin!.end("\n");
      if (end !== "exit 0") streams.close();
      await streams.ended;
      await until(() => !lives(Number(chunk)));
    }
  });

  it.skipIf(process.getuid?.() !== 0)("execs as the container's user, who owns the streams", async () => {
    const { spec } = await startSleeper(sleeper({ security: { uid: 65534, gid: 65534, groups: [] }, workingDir: "/" }));
    const argv = ["/bin/sh", "-c", "echo $(id -u) $(id -G); echo err > /dev/stderr; sleep 1000"];
    const streams = await session.runtime.exec!(
      spec.id,
      { argv, stdin: false, tty: false },
      new AbortController().signal,
    );
    expect(String(await once(streams.stdout, "data"))).toBe("65534 65534\n");
    expect(String(await once(streams.stderr!, "data"))).toBe("err\n");
    streams.close();
  });

  it("never makes an attempt twice", async () => {
    const { spec } = await startSleeper();
    await expect(session.runtime.start(spec)).rejects.toThrow(/never made twice/);
    expect((await session.log(spec.id)).match(/ready/g)).toHaveLength(1);
  });

  it("ends what a killed shim left, and says that nobody knows how it ended", async () => {
    const { spec, pid, shim } = await startSleeper();
    process.kill(shim, "SIGKILL");
    expect(await session.exitOf(spec.id)).toMatchObject(unknown);
    expect(lives(pid)).toBe(false);
    await nextAgent();
    expect(session.recovered).toMatchObject([{ exit: unknown, restartCount: 2 }]);
    expect(session.calls).toEqual([]);
  });

  it("does so too where the shim was killed while there was no agent", async () => {
    const { spec, pid, shim, container } = await startSleeper();
    await session.runtime.stop();
    process.kill(shim, "SIGKILL");
    session = await RuntimeSession.open(harness);
    expect(await session.exitOf(spec.id)).toMatchObject({ ...unknown, startedAt: container.startedAt });
    expect(lives(pid)).toBe(false);
    expect(existsSync(paths(spec).exitFile)).toBe(true);
  });

  it("takes no process for its own after the host was restarted", async () => {
    const { spec, pid, shim } = await startSleeper();
    await session.runtime.stop();
    const claim = join(paths(spec).dir, "claim");
    const text = readFileSync(claim, "utf8");
    writeFileSync(claim, text.replace(/^bootid=.*$/m, "bootid=another"));
    session = await RuntimeSession.open(harness);
    expect(session.recovered).toMatchObject([{ id: spec.id, exit: unknown }]);
    expect(session.recovered[0]?.exit?.message).toContain("restarted");
    expect([lives(pid), lives(shim)]).toEqual([true, true]);
    process.kill(shim, "SIGKILL");
    process.kill(-pid, "SIGKILL");
  });

  it.each(["", "{", '{"version":99}'])("takes the restart count for 0 where attempt.json is %j", async (text) => {
    const { spec } = await startSleeper();
    await session.runtime.stop();
    writeFileSync(join(paths(spec).dir, "attempt.json"), text);
    session = await RuntimeSession.open(harness);
    expect(session.recovered).toMatchObject([{ id: spec.id, restartCount: 0 }]);
    expect(session.recovered[0]?.exit).toBeUndefined();
  });

  it("sweeps up what an interrupted removal left, and leaves alone what is not its own", async () => {
    writeFileSync(join(harness.stateDir, "exits", "gone_c_0"), "kind=exited\ncode=0\n");
    const foreign = join(harness.stateDir, "pods", "uid", "attempts", "c", "not-a-number");
    mkdirSync(foreign, { recursive: true });
    await nextAgent();
    expect(session.recovered).toEqual([]);
    expect(readdirSync(join(harness.stateDir, "exits"))).toEqual([]);
    expect(existsSync(foreign)).toBe(true);
  });

  it("says that an end is unknown where its record can't be read", async () => {
    const spec = harness.spec({ argv: ["/bin/true"] });
    await session.run(spec);
    writeFileSync(paths(spec).exitFile, "kind=exi");
    await nextAgent();
    expect(session.recovered).toMatchObject([{ exit: unknown }]);
  });

  it.each([0, 1, 5, 12])("loses nothing when the agent is killed -9 once %i of 12 starts are done", async (done) => {
    await session.runtime.stop();
    const specs = Array.from({ length: 12 }, (_, i) =>
      harness.spec({
        argv: ["/bin/sh", "-c", `echo ran >> ran; read x < fifo; exit ${i}`],
        id: { podUID: "uid", container: `c${i}`, attempt: i },
        restartCount: i,
      }),
    );
    for (const { dir } of specs) execFileSync("mkfifo", [join(dir, "fifo")]);
    await startAgentAndKill(harness, specs, done);
    session = await RuntimeSession.open(harness);
    const found = specs.filter((spec) => session.recovered.some(({ id }) => id.attempt === spec.id.attempt));
    expect(found.length).toBeGreaterThanOrEqual(done);
    for (const spec of found) {
      const { attempt } = spec.id;
      expect(session.recovered).toContainEqual(expect.objectContaining({ id: spec.id, restartCount: attempt }));
      await writeFile(join(spec.dir, "fifo"), "\n");
      expect(await session.exitOf(spec.id)).toMatchObject({ exitCode: attempt });
    }
    for (const spec of specs) {
      const ran = existsSync(join(spec.dir, "ran")) ? readFileSync(join(spec.dir, "ran"), "utf8") : "";
      expect(ran).toBe(found.includes(spec) ? "ran\n" : "");
    }
  });

  it("recovers many attempts that have ended", async () => {
    await session.runtime.stop();
    for (let i = 0; i < 50; i++) {
      const spec = sleeper({ id: { podUID: `uid-${i}`, container: "c", attempt: 0 } });
      makeAttemptDir(paths(spec));
      writeFileSync(paths(spec).exitFile, `v=1\nkind=exited\ncode=${i % 256}\nfinished=1767323046000000000\n`);
    }
    session = await RuntimeSession.open(harness);
    expect(session.recovered).toHaveLength(50);
    expect(session.recovered.every(({ id, exit }) => exit?.exitCode === Number(id.podUID.slice(4)) % 256)).toBe(true);
  });
});

/** An agent in a process of its own, from a bundle as it is installed; killed when `done` of its starts have resolved. */
async function startAgentAndKill(harness: ProcessHarness, specs: ContainerSpec[], done: number): Promise<void> {
  const root = join(import.meta.dirname, "../../..");
  const install = join(harness.base, "install");
  mkdirSync(install);
  writeFileSync(join(install, "package.json"), '{"name":"hostlet","version":"0.0.0","type":"module"}');
  for (const name of ["node_modules", "shim"]) symlinkSync(join(root, name), join(install, name));
  const outfile = join(install, "dist", "agent.js");
  await build({
    entryPoints: [join(import.meta.dirname, "agentFixture.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    logLevel: "error",
  });
  const agent = fork(outfile);
  const enough = new Promise<void>((resolve) => {
    let running = 0;
    agent.on("message", () => ++running === done && resolve());
  });
  agent.send({ stateDir: harness.stateDir, specs });
  // The directory is made in the middle of the first starts.
  await (done === 0 ? until(() => existsSync(join(harness.stateDir, "pods"))) : enough);
  const spawners = childrenOf(agent.pid ?? 0);
  expect(spawners.length).toBe(done === 0 ? spawners.length : 1);
  agent.kill("SIGKILL");
  await once(agent, "exit");
  await until(() => !spawners.some(lives));
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text
    .split(" ")
    .filter((child) => child !== "")
    .map(Number);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
