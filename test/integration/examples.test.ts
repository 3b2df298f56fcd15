import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunFlags, run } from "../../src/cli/run.ts";
import { memoryIo } from "./support/memoryIo.ts";

const examples = fileURLToPath(new URL("../../examples/", import.meta.url));
const before = { HOME: process.env.HOME, PATH: process.env.PATH };
let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "hostlet-examples-"));
  const bin = join(home, "bin");
  await mkdir(bin);
  // stress(1) is on few machines, and five minutes of it are too many here.
  await writeFile(join(bin, "stress"), '#!/bin/sh\necho "stress called with: $*"\n', { mode: 0o755 });
  process.env.HOME = home;
  process.env.PATH = `${bin}:${before.PATH}`;
});
afterAll(async () => {
  Object.assign(process.env, before);
  await rm(home, { recursive: true, force: true });
});

/** Runs one example; two of them have pods of one name, so each has a podsDir of its own. */
async function example(name: string, flags: RunFlags = {}) {
  const memory = memoryIo({ HOME: home });
  const podsDir = join(home, "pods", name);
  const code = await run([join(examples, `${name}.yaml`)], { podsDir, ...flags }, memory.io);
  return { code, stdout: memory.stdout().split("\n").filter(Boolean), stderr: memory.stderr() };
}

describe.concurrent("examples, as they stand", () => {
  test("hello-job.yaml writes its file, and ends after its 10 seconds", async () => {
    const { code, stderr } = await example("hello-job");
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining("multijobs: Succeeded") });
    expect(await readFile(join(home, "test1.txt"), "utf8")).toBe("Hello World\n");
  });

  test("multijobs.yaml runs its two jobs side by side, and leaves the support script alone", async () => {
    const { code, stderr } = await example("multijobs");
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining("multijobs: Succeeded") });
    expect(await readdir(home)).not.toContain("support.txt");
  });

  test("stress.yaml gives its script the arguments 300 and 2", async () => {
    const { code, stdout } = await example("stress");
    expect({ code, stdout }).toEqual({ code: 0, stdout: ["[p1/c1] stress called with: --timeout 300 --cpu 2"] });
  });

  test("hostpipe-*.yaml write their line into the pipe", async () => {
    const pipe = join(home, "hostpipe/vk-cmd");
    await mkdir(join(home, "hostpipe"));
    for (const [site, line] of [
      ["ifarm", "apptainer exec lolcow_latest.sif cowsay moo > $HOME/out.txt && ls -l $HOME/out.txt\n"],
      ["perlmutter", "shifter --image=godlovedc/lolcow:latest --entrypoint > $HOME/out.txt && ls -l $HOME/out.txt\n"],
    ] as const) {
      await writeFile(pipe, "");
      expect((await example(`hostpipe-${site}`, { compat: true, nodeName: `vk-${site}` })).code).toBe(0);
      expect(await readFile(pipe, "utf8")).toBe(line);
    }
  });

  test("hostpipe-jiriaf2301.yaml fails where its pipe is missing, and says which", async () => {
    const { code, stdout } = await example("hostpipe-jiriaf2301", { compat: true, nodeName: "vk-jiriaf2301" });
    expect(code).toBe(1);
    expect(stdout).toEqual([expect.stringContaining("/root/hostpipe/vk-cmd")]);
  });

  test("volumes.yaml shows every volume's content", async () => {
    const { code, stdout } = await example("volumes");
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: [
        "[volumes/show] colour: blue",
        "[volumes/show] greetings from a script that is executable",
        "[volumes/show] password has 11 characters, mode 400",
        '[volumes/show] projected: blue app="volumes"',
        "[volumes/show] only one file: blue",
        "[volumes/show] of the host: 1 byte",
      ],
    });
  });

  test("env.yaml shows its variables", async () => {
    const { code, stdout } = await example("env");
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: [
        "[env/show] Hello world",
        "[env/show] blue 12",
        "[env/show] token of 11 characters",
        "[env/show] Hello world again",
      ],
    });
  });

  test("downward-api.yaml knows its pod", async () => {
    const { code, stdout } = await example("downward-api", { nodeName: "here" });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: [
        "[downward-api/show] I am downward-api in default on here",
        '[downward-api/show] app="demo"',
        "[downward-api/show] written in the manifest",
      ],
    });
  });

  test("emptydir.yaml: the init container first, then the two talk", async () => {
    const { code, stdout } = await example("emptydir");
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: [
        "[emptydir/prepare] prepared",
        "[emptydir/reader]  the writer says: done",
        "[emptydir/reader]  one",
        "[emptydir/reader]  two",
      ],
    });
  });

  test("probes.yaml starts its container anew when that is stuck", async () => {
    const { code, stdout } = await example("probes");
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: ["[probes/main] first start: up, and soon stuck", "[probes/main] second start"],
    });
  });

  test("hooks.yaml runs both", async () => {
    const { code, stdout } = await example("hooks");
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: ["[hooks/helper] postStart was here", "[hooks/helper] preStop was here"],
    });
  });

  test("sidecar.yaml: the sidecar is up before the main container, and does not outlive it", async () => {
    const { code, stdout } = await example("sidecar");
    expect({ code, stdout: stdout.sort() }).toEqual({
      code: 0,
      stdout: [
        "[sidecar/main] the sidecar is up",
        "[sidecar/main] up",
        "[sidecar/side] at your service",
        "[sidecar/side] nobody needs me any more",
      ],
    });
  });

  test("exit-codes.yaml exits with 3", async () => {
    const { code, stdout, stderr } = await example("exit-codes");
    expect({ code, stdout }).toEqual({ code: 3, stdout: ["[exit-codes/fails]    this one fails"] });
    expect(stderr).toContain("exit-codes/fails: exit code 3");
  });
});

test("every example is tested, and listed in the README", async () => {
  const tests = fileURLToPath(new URL("../", import.meta.url));
  const files = (await readdir(tests, { recursive: true })).filter((file) => file.endsWith(".ts"));
  const text = (await Promise.all(files.map((file) => readFile(join(tests, file), "utf8")))).join("\n");
  const readme = await readFile(join(examples, "README.md"), "utf8");
  for (const name of (await readdir(examples)).filter((file) => file.endsWith(".yaml"))) {
    expect(readme).toContain(`[${name}](${name})`);
    const hostPipe = name.startsWith("hostpipe-") && text.includes(`"${name.slice(9, -5)}"`);
    expect([name, text.includes(name) || hostPipe]).toEqual([name, true]);
  }
});

test("nothing of the runs is left", async () => {
  expect(await readdir(join(home, ".hostlet/run"))).toEqual([]);
});
