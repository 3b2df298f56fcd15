import { spawn } from "node:child_process";
import { once as onceEvent } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RunFlags, run } from "../../src/cli/run.ts";
import { type UpFlags, up } from "../../src/cli/up.ts";
import { userAgent } from "../../src/cli/version.ts";
import { systemClock } from "../../src/clock.ts";
import { createClient } from "../../src/kube/client.ts";
import { loadKubeconfig } from "../../src/kube/kubeconfig.ts";
import { paths } from "../../src/kube/paths.ts";
import type { Pod } from "../../src/kube/types.ts";
import { ownIdentity } from "../../src/runtimes/process/identity.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { type MemoryIo, memoryIo } from "./support/memoryIo.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "hostlet-cli-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const container = (name: string, script: string) => ({ name, image: "none", command: ["bash", "-c", script] });
const pod = (name: string, script: string, spec: object = {}, metadata: object = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, ...metadata },
  spec: { containers: [container("c", script)], ...spec },
});
const documents = (...objects: object[]) => objects.map((object) => JSON.stringify(object)).join("\n---\n");

/** Starts `hostlet run -` with the objects on standard input. */
function start(
  objects: object[],
  flags: RunFlags = {},
  env: NodeJS.ProcessEnv = {},
): { memory: MemoryIo; code: Promise<number> } {
  const memory = memoryIo({ HOME: home, ...env }, documents(...objects));
  return { memory, code: run(["-"], flags, memory.io) };
}
/** What runs have left; none of these tests may leave anything but with --keep. */
const runs = () => readdir(join(home, ".hostlet/run")).catch(() => []);
/** Resolves once the command has shown the text; rejects where it ends without. */
const shown = ({ memory, code }: { memory: MemoryIo; code: Promise<number> }, text: string) =>
  Promise.race([
    memory.shows(text),
    code.then((ended) => Promise.reject(new Error(`exited with ${ended} without ${text}: ${memory.stderr()}`))),
  ]);
const isAlive = (pid: number) => existsSync(`/proc/${pid}`);
const pidOf = (memory: MemoryIo) => Number(/pid (\d+)/.exec(memory.stdout())?.[1]);

describe("what run exits with", () => {
  test.each<[string, Pod[], number]>([
    ["0 where all succeed", [pod("a", "true"), pod("b", "true")], 0],
    ["the highest exit code of several", [pod("a", "exit 3"), pod("b", "exit 7"), pod("c", "true")], 7],
    ["128 + signal", [pod("a", "kill -9 $BASHPID")], 137],
    [
      "127 for a command that isn't there",
      [pod("a", "", { containers: [{ name: "c", image: "none", command: ["no-such-program"] }] })],
      127,
    ],
    ["that of an init container", [pod("a", "true", { initContainers: [container("i", "exit 5")] })], 5],
    ["124 after --timeout", [pod("a", "sleep 100", { terminationGracePeriodSeconds: 1 })], 124],
  ])("%s", async (_, pods, expected) => {
    const { memory, code } = start(pods, expected === 124 ? { timeout: "1s" } : {});
    expect({ code: await code, stderr: memory.stderr() }).toMatchObject({ code: expected });
    expect(await runs()).toEqual([]);
  });
});

describe("output", () => {
  test("all of a burst arrives, in order, and a last line without newline gets one", async () => {
    const { memory, code } = start([pod("a", "seq 20000; printf end")]);
    expect(await code).toBe(0);
    const expected = [...Array.from({ length: 20_000 }, (_, i) => `[a/c] ${i + 1}`), "[a/c] end", ""];
    expect(memory.stdout()).toBe(expected.join("\n"));
  });

  test("-q shows the pods' output alone", async () => {
    const { memory, code } = start([pod("a", "echo hello; exit 1")], { quiet: true });
    expect(await code).toBe(1);
    expect([memory.stdout(), memory.stderr()]).toEqual(["[a/c] hello\n", ""]);
  });

  test("pods of several namespaces are told apart, and a namespace that is missing is made", async () => {
    const { memory, code } = start([pod("a", "echo 1"), pod("a", "echo 2", {}, { namespace: "other" })]);
    expect(await code).toBe(0);
    expect(memory.stdout().split("\n").sort()).toEqual(["", "[default/a/c] 1", "[other/a/c]   2"]);
    expect(memory.stderr()).toContain("namespace/other created");
  });

  test("a pod that waits says for what, once", async () => {
    const volumes = [{ name: "v", configMap: { name: "absent" } }];
    const { memory, code } = start([
      pod("a", "true", {
        volumes,
        containers: [{ ...container("c", "true"), volumeMounts: [{ name: "v", mountPath: "v" }] }],
      }),
    ]);
    await shown({ memory, code }, "absent");
    memory.send("SIGINT");
    expect(await code).toBe(130);
  });
});

describe("interruption", () => {
  test("the first Ctrl-C ends the pods in good order, and their last words are shown", async () => {
    const { memory, code } = start([
      pod("a", "trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.05; done"),
    ]);
    await shown({ memory, code }, "[a/c] ready");
    memory.send("SIGINT");
    expect(await code).toBe(130);
    expect(memory.stdout()).toBe("[a/c] ready\n[a/c] bye\n");
  });

  test("the second one kills what does not end", async () => {
    const { memory, code } = start([
      pod("a", "trap '' TERM; echo pid $BASHPID; while true; do sleep 0.05; done", {
        terminationGracePeriodSeconds: 600,
      }),
    ]);
    await shown({ memory, code }, "[a/c] pid");
    memory.send("SIGTERM");
    await shown({ memory, code }, "ending 1 pod");
    expect(isAlive(pidOf(memory))).toBe(true);
    memory.send("SIGTERM");
    expect(await code).toBe(143);
    expect(isAlive(pidOf(memory))).toBe(false);
    expect(await runs()).toEqual([]);
  });

  test("before anything runs, it is the end", async () => {
    const { memory, code } = start([pod("a", "echo never")]);
    memory.send("SIGINT");
    expect(await code).toBe(130);
    expect(memory.stdout()).toBe("");
    expect(await runs()).toEqual([]);
  });
});

describe("files", () => {
  test("--keep leaves them and says where, and is in nobody's way", async () => {
    for (const word of ["one", "two"]) {
      const { memory, code } = start([pod("a", `echo ${word} > out`)], { keep: true });
      expect(await code).toBe(0);
      const dir = /files kept in (.*)/.exec(memory.stderr())![1]!;
      expect(await readFile(join(dir, "containers/c/out"), "utf8")).toBe(`${word}\n`);
    }
  });

  test("what a killed run left is taken up and removed", async () => {
    const child = spawn("true");
    await onceEvent(child, "exit");
    const dir = join(home, ".hostlet/run/0badcafe");
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, "lock.1"), JSON.stringify({ v: 1, ...ownIdentity(), pid: child.pid }));
    expect(await start([pod("a", "true")]).code).toBe(0);
    expect(await runs()).toEqual([]);
  });
});

describe("bad input", () => {
  test.each<[string, object[], string, string]>([
    ["no pod", [{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" } }], "ManifestInvalid", "no pod"],
    [
      "a Job",
      [{ apiVersion: "batch/v1", kind: "Job", metadata: { name: "a" } }],
      "ManifestInvalid",
      "kind Job needs a controller",
    ],
    ["a field that Kubernetes doesn't have", [pod("a", "true", { contaners: [] })], "ManifestInvalid", "contaners"],
    [
      "a pod without containers, after a good one",
      [pod("a", "echo ran"), pod("b", "true", { containers: [] })],
      "ManifestInvalid",
      "document 2",
    ],
    ["a name that is none", [pod("Upper_Case", "true")], "ManifestInvalid", "Upper_Case"],
    ["a name twice", [pod("a", "true"), pod("a", "true")], "ManifestInvalid", "already exists"],
    [
      "a spec that is no object",
      [{ apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec: "x" }],
      "ManifestInvalid",
      "standard input",
    ],
  ])("%s is refused, and nothing runs", async (_, objects, errorCode, message) => {
    const { memory, code } = start(objects);
    await expect(code).rejects.toMatchObject({ code: errorCode, message: expect.stringContaining(message) });
    expect(memory.stdout()).toBe("");
    expect(await runs()).toEqual([]);
  });

  test("a port in use is named", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await onceEvent(server, "listening");
    const { port } = server.address() as { port: number };
    await expect(start([pod("a", "true")], { port: String(port) }).code).rejects.toMatchObject({
      code: "ListenFailed",
      message: expect.stringContaining(String(port)),
    });
    server.close();
    await onceEvent(server, "close");
  });

  test("a home that can't be written is named", async () => {
    await writeFile(join(home, ".hostlet"), "");
    await expect(start([pod("a", "true")]).code).rejects.toMatchObject({
      code: "ConfigInvalid",
      message: expect.stringContaining(join(home, ".hostlet")),
    });
  });
});

describe("up", () => {
  const startUp = (flags: UpFlags = {}) => {
    const memory = memoryIo({ HOME: home });
    return { memory, code: up({ nodeName: "here", ...flags }, memory.io) };
  };
  const kubeconfig = () => join(home, ".hostlet/up/kubeconfig");
  const client = () => createClient(loadKubeconfig(kubeconfig()), { log: silentLogger, clock: systemClock, userAgent });
  const untilPhase = async (name: string, phase: string) => {
    const admin = client();
    const query = { fieldSelector: `metadata.name=${name}` };
    const end = new AbortController();
    for await (const event of admin.watch<Pod>(paths.pods("default"), { query, signal: end.signal })) {
      if (event.type !== "ERROR" && event.object.status?.phase === phase) break;
    }
    end.abort();
    admin.close();
  };

  test("stays until a signal; its pods run on and are taken up by the next, which can end them", async () => {
    const first = startUp();
    await shown(first, "kubectl get nodes");
    expect((await stat(kubeconfig())).mode & 0o777).toBe(0o600);
    await expect(startUp().code).rejects.toMatchObject({ code: "StateLocked" });
    const admin = client();
    await admin.create(paths.pods("default"), pod("a", "echo $BASHPID > pid; while true; do sleep 0.05; done"));
    admin.close();
    await untilPhase("a", "Running");
    first.memory.send("SIGTERM");
    expect(await first.code).toBe(0);
    expect(first.memory.stderr()).toContain("1 pod runs on");
    const pid = Number(await readFile(join(home, ".hostlet/pods/default/a/containers/c/pid"), "utf8"));
    expect(isAlive(pid)).toBe(true);

    const second = startUp({ drainOnExit: true });
    await shown(second, "kubectl get nodes");
    await untilPhase("a", "Running");
    second.memory.send("SIGINT");
    await shown(second, "ending 1 pod");
    second.memory.send("SIGINT");
    expect(await second.code).toBe(0);
    expect(isAlive(pid)).toBe(false);
  });

  test("keeps its port over a restart, and says so where somebody else has it", async () => {
    const port = async () => Number(new URL(loadKubeconfig(kubeconfig()).server).port);
    const once = async () => {
      const started = startUp();
      await shown(started, "kubectl get nodes");
      started.memory.send("SIGTERM");
      expect(await started.code).toBe(0);
      return { port: await port(), stderr: started.memory.stderr() };
    };
    const first = await once();
    expect(await once()).toEqual({ port: first.port, stderr: "" });

    const other = createServer().listen(first.port, "127.0.0.1");
    await onceEvent(other, "listening");
    const moved = await once();
    expect(moved.port).not.toBe(first.port);
    expect(moved.stderr).toMatch(new RegExp(`${first.port}.*the API server has another port now`));
    other.close();
    await onceEvent(other, "close");
    expect((await once()).port).toBe(moved.port);
  });
});
