import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RuntimeSession } from "../../../src/runtimes/conformanceSession.ts";
import type { ContainerSpec } from "../../../src/runtimes/contract.ts";
import { authOf } from "../../../src/runtimes/docker/images.ts";
import { type EngineHarness, engineHarness } from "./engineHarness.ts";
import type { TestEngine } from "./engines.ts";
import type { TestRegistry } from "./registry.ts";

/** What happens to agents and engines. */
export function engineFaults(engine: TestEngine, registry: TestRegistry | undefined): void {
  describe(`${engine.name}: when things go wrong`, () => {
    let harness: EngineHarness;
    let session: RuntimeSession;
    beforeEach(async () => {
      harness = await engineHarness(engine);
      session = await RuntimeSession.open(harness);
    });
    afterEach(async () => {
      await session.close();
      await harness.dispose();
    });
    let last = 0;
    const shell = (script: string, about: Partial<ContainerSpec> = {}) => {
      const id = { podUID: "0c0ffee0-0000-4000-8000-0000000000bb", container: `f${++last}`, attempt: 0 };
      return harness.spec({ id, argv: ["/bin/sh", "-c", script], ...about });
    };
    const withFifo = (spec: ContainerSpec) => {
      execFileSync("mkfifo", [join(spec.dir, "fifo")]);
      return spec;
    };

    // Podman's service holds no container. Docker needs live-restore, which is not tested yet.
    test.skipIf(engine.name === "docker")(
      "an engine that is killed and comes back keeps its containers, and nothing is missed",
      async () => {
        const steady = withFifo(shell("echo ready; read x < fifo; exit 6"));
        const short = withFifo(shell("echo ready; read x < fifo; exit 7"));
        for (const spec of [steady, short]) {
          await session.start(spec);
          await session.seen(spec.id, /ready/);
        }
        await engine.kill();
        await writeFile(join(short.dir, "fifo"), "\n");
        await expect(session.runtime.start(shell("true"))).rejects.toMatchObject({ code: "CreateContainerFailed" });
        await engine.start();
        expect(await session.exitOf(short.id)).toMatchObject({ exitCode: 7 });
        expect(await session.run(shell("exit 8"))).toMatchObject({ exitCode: 8 });
        await writeFile(join(steady.dir, "fifo"), "\n");
        expect(await session.exitOf(steady.id)).toMatchObject({ exitCode: 6 });
      },
    );

    test("a container that somebody else removes has ended, and nobody knows how", async () => {
      const spec = shell("echo ready; sleep 1000");
      const started = await session.start(spec);
      await session.seen(spec.id, /ready/);
      const path = `/containers/${started.containerID.split("://")[1]}`;
      await engine.client.json({ method: "DELETE", path, query: { force: true } });
      // The end that comes before the removal may be seen, or not.
      expect((await session.exitOf(spec.id)).exitCode).toBe(137);
    });

    test.each([0, 3, 8])(
      "nothing runs twice when the agent is killed -9 once %i of 8 starts are done",
      async (done) => {
        await session.runtime.stop();
        const specs = Array.from({ length: 8 }, (_, i) => withFifo(shell(`echo ran >> ran; read x < fifo; exit ${i}`)));
        await startAgentAndKill(engine, harness, specs, done);
        session = await RuntimeSession.open(harness);
        const found = specs.filter(({ id }) => session.recovered.some((one) => one.id.container === id.container));
        expect(found.length).toBeGreaterThanOrEqual(done);
        for (const spec of found) {
          await writeFile(join(spec.dir, "fifo"), "\n");
          expect(await session.exitOf(spec.id)).toMatchObject({ exitCode: specs.indexOf(spec) });
        }
        for (const spec of specs) {
          const ran = existsSync(join(spec.dir, "ran")) ? readFileSync(join(spec.dir, "ran"), "utf8") : "";
          expect(ran).toBe(found.includes(spec) ? "ran\n" : "");
        }
      },
    );

    test("a container that takes more memory than it may is OOMKilled, and one that stays below is not", async () => {
      const limited = shell("exec tail /dev/zero", { resources: { memoryLimitBytes: 20 << 20 } });
      // Podman's flag for it comes from conmon, and now and then not at all.
      const told = engine.name === "docker" ? { signal: 9, reason: "OOMKilled" } : {};
      expect(await session.run(limited)).toMatchObject({ exitCode: 137, ...told });
      expect(await session.run(shell("true", { resources: { memoryLimitBytes: 20 << 20 } }))).toMatchObject({
        exitCode: 0,
      });
    });

    test("what a security context asks for holds", async () => {
      const show = "id -u; id -G; grep -E 'NoNewPrivs|CapEff' /proc/self/status | cut -f2; touch /x && echo writable";
      const spec = shell(show, {
        workingDir: "/",
        security: {
          ...{ uid: 1234, gid: 2345, groups: [3456], noNewPrivileges: true, readOnlyRootFilesystem: true },
          capabilities: { add: [], drop: ["ALL"] },
        },
      });
      await session.run(spec);
      expect(await session.log(spec.id, { stream: "Stdout" })).toBe("1234\n2345 3456\n0000000000000000\n1\n");
    });
  });

  describe.skipIf(!registry)(`${engine.name}: a registry on loopback`, () => {
    let harness: EngineHarness;
    let session: RuntimeSession;
    const host = registry?.host ?? "";
    beforeEach(async () => {
      harness = await engineHarness(engine);
      session = await RuntimeSession.open(harness);
    });
    afterEach(async () => {
      await session.close();
      await harness.dispose();
    });
    const ann = (password: string) => [{ registry: host, username: "ann", password }];
    const signal = new AbortController().signal;

    test("gives an image by its digest to who has the credentials, and says why to who has not", async () => {
      const images = session.runtime.images!;
      const image = `${host}/team/app:1`;
      const query = { repo: `${host}/team/app`, tag: "1" };
      await engine.client.json({ method: "POST", path: `/images/${engine.imageID}/tag`, query });
      const headers = { "x-registry-auth": authOf(ann("secret")[0]!) };
      const name = `${host}/team/app`;
      const push = { method: "POST", path: `/images/${name}/push`, query: { tag: "1" }, headers } as const;
      for await (const chunk of await engine.client.stream(push)) expect(String(chunk)).not.toContain('"error"');
      await engine.client.json({ method: "DELETE", path: `/images/${image}` });
      expect(await images.find(image)).toBeUndefined();

      const refused = /unauthorized|no basic auth credentials|authentication required/i;
      await expect(images.pull(image, [], () => {}, signal)).rejects.toThrow(refused);
      await expect(images.pull(image, ann("wrong"), () => {}, signal)).rejects.toThrow(refused);
      const pulled = await images.pull(image, [...ann("wrong"), ...ann("secret")], () => {}, signal);
      expect(pulled.id).toMatch(new RegExp(`^${host}/team/app@sha256:[0-9a-f]{64}$`));
      expect(await images.find(image)).toEqual(pulled);
      expect((await images.list()).flatMap(({ names }) => names)).toContain(image);

      const id = { podUID: "0c0ffee0-0000-4000-8000-0000000000cc", container: "r", attempt: 0 };
      const spec = harness.spec({ id, argv: ["true"], image: pulled });
      const started = await session.start(spec);
      expect(started.imageID).toBe(pulled.id);
      expect(await session.exitOf(id)).toMatchObject({ exitCode: 0 });
      await expect(images.pull(`${host}/team/none:1`, ann("secret"), () => {}, signal)).rejects.toThrow(
        /not found|manifest unknown|unknown/i,
      );
    });
  });
}

async function startAgentAndKill(engine: TestEngine, harness: EngineHarness, specs: ContainerSpec[], done: number) {
  const dir = mkdtempSync(join(tmpdir(), "hostlet-agent-"));
  const outfile = join(dir, "agent.mjs");
  await build({
    ...{ entryPoints: [join(import.meta.dirname, "engineAgent.ts")], outfile, bundle: true, platform: "node" },
    ...{ format: "esm", logLevel: "error" },
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  const agent = fork(outfile);
  const enough = new Promise<void>((resolve) => {
    let started = 0;
    agent.on("message", (message) => {
      if (message === "ready" && done === 0) setTimeout(resolve, 5); // in the middle of the first creates
      if (message === "started" && ++started === done) resolve();
    });
  });
  agent.send({ socket: engine.socket, node: harness.node, specs });
  await enough;
  agent.kill("SIGKILL");
  await once(agent, "exit");
  rmSync(dir, { recursive: true });
}
