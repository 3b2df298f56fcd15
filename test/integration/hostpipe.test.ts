import { existsSync, statSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hostpipeFifo, hostpipeServe } from "../../src/cli/hostpipe.ts";
import { run } from "../../src/cli/run.ts";
import { memoryIo } from "./support/memoryIo.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "hostlet-hostpipe-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const podOf = (name: string, command: string[]) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: { restartPolicy: "Never", containers: [{ name: "c", image: "none", command }] },
  });

describe("hostlet hostpipe fifo", () => {
  test("runs what a pod of vk-cmd's form echoes into the pipe, and ends with a signal", async () => {
    const host = memoryIo({ HOME: home });
    const code = hostpipeFifo(undefined, {}, host.io);
    await host.shows("reading");
    const fifo = join(home, "hostpipe/vk-cmd");
    const line = `echo moo > ${home}/out.txt; cat ${home}/out.txt; exit 5`;
    const agent = memoryIo({ HOME: home, JOBNAME: "vk-test" }, podOf("vk-test", [`echo '${line}' > ${fifo}`]));
    expect(await run(["-"], { compat: true }, agent.io)).toBe(0);
    await host.shows(" 1 exit 5");
    expect(host.stdout()).toContain(` 1 run ${line}\n`);
    expect(host.stdout()).toContain(" 1 out moo\n");
    host.send("SIGTERM");
    expect(await code).toBe(0);
    expect(existsSync(join(home, "hostpipe/vk-cmd.log"))).toBe(true);
  });

  test("is one at a time: two readers would each get some of the lines", async () => {
    const host = memoryIo({ HOME: home });
    const code = hostpipeFifo(undefined, {}, host.io);
    await host.shows("reading");
    await expect(hostpipeFifo(undefined, {}, memoryIo({ HOME: home }).io)).rejects.toMatchObject({
      code: "StateLocked",
    });
    host.send("SIGTERM");
    await code;
  });

  test("says that a file is in the place of the pipe", async () => {
    const file = join(home, "vk-cmd");
    await writeFile(file, "echo lost\n");
    await expect(hostpipeFifo(file, {}, memoryIo({ HOME: home }).io)).rejects.toMatchObject({
      code: "PathNotOurs",
      message: expect.stringMatching(/is no FIFO/),
    });
  });
});

describe("hostlet hostpipe serve", () => {
  test("runs an agent's pods on the host, with their logs and exit codes; socket and token are their owner's", async () => {
    const host = memoryIo({ HOME: home });
    const served = hostpipeServe({ logLevel: "silent" }, host.io);
    await host.shows("listens on");
    const dir = join(home, "hostpipe");
    for (const name of ["token", "hostlet.sock"]) expect(statSync(join(dir, name)).mode & 0o077).toBe(0);
    const env = {
      HOME: home,
      HOSTLET_PROVIDER: "interlink",
      HOSTLET_INTERLINK_URL: `unix:${dir}/hostlet.sock`,
      HOSTLET_INTERLINK_TOKEN_FILE: join(dir, "token"),
      HOSTLET_INTERLINK_STATUS_INTERVAL: "1s",
    };
    const agent = memoryIo(env, podOf("far", ["sh", "-c", "echo from the host; exit 6"]));
    expect(await run(["-"], { nodeName: "vk-far" }, agent.io)).toBe(6);
    expect(agent.stdout()).toContain("from the host");
    host.send("SIGTERM");
    expect(await served).toBe(0);
  });

  test("a token that others may read is refused", async () => {
    await writeFile(join(home, "token"), "x\n", { mode: 0o644 });
    expect(() => hostpipeServe({ dir: home }, memoryIo({ HOME: home }).io)).toThrow(/others may read it/);
  });
});
