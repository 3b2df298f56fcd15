import { execFile, execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { paths } from "../../src/kube/paths.ts";
import { Kubectl, type KubectlPipe } from "../e2e/support/kubectl.ts";
import { TestNode, until } from "./support/node.ts";

/** Of PATH, where there is no real control plane that brings its own. */
const hasKubectl = inject("controlPlane") !== undefined || works("kubectl");
if (!hasKubectl) console.log("SKIPPED: streams by kubectl: there is no kubectl on PATH");

function works(program: string): boolean {
  try {
    execFileSync(program, ["version", "--client"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

let node: TestNode;
let kubectl: Kubectl;

beforeAll(async () => {
  node = await TestNode.start();
  kubectl = new Kubectl(node.cluster);
});
afterAll(async () => {
  kubectl.stop();
  await node.stop();
});

async function bytes(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function ended(pipe: KubectlPipe): Promise<{ code: number | null; stdout: Buffer; stderr: string }> {
  const stdout = await bytes(pipe.stdout);
  return { code: await pipe.exit, stdout, stderr: pipe.stderr() };
}

/** Resolves with the text once it matches. */
async function seen(stream: Readable, pattern: RegExp): Promise<string> {
  let text = "";
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (pattern.test(text)) return text;
  }
  throw new Error(`it ended without ${pattern}: ${text}`);
}

const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");

describe.skipIf(!hasKubectl).each([
  ["by WebSocket, where kubectl has it", "websocket", {}],
  ["by SPDY", "spdy", { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false", KUBECTL_PORT_FORWARD_WEBSOCKETS: "false" }],
])("streams %s", (_what, name, env) => {
  const echoes = 'echo ready; while read line; do echo "got $line"; done; exit 4';
  let server: Server;
  beforeAll(async () => {
    await node.run(name, echoes, {
      containers: [
        { name: "main", stdin: true, env: [{ name: "COLOUR", value: "blue" }] },
        { name: "side", image: "none", command: ["sh", "-c", "echo side; exec sleep 1000"] },
      ],
    });
    await node.running(name);
    server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve));
    await node.deleteNow(name);
  });

  const exec = (args: string[], input: Buffer[] = []) => ended(kubectl.pipe(["exec", ...args], input, env));

  test("exec tells output, errors and exit code, in each container", async () => {
    const script = 'echo "$COLOUR"; echo err >&2; exit 3';
    const { code, stdout, stderr } = await exec([name, "-c", "main", "--", "sh", "-c", script]);
    expect({ code, stdout: String(stdout) }).toEqual({ code: 3, stdout: "blue\n" });
    expect(stderr).toMatch(/^err\n.*exit code 3/s);
    const side = await exec([name, "-c", "side", "--", "sh", "-c", "ls -d . && exit 0"]);
    expect([side.code, String(side.stdout)]).toEqual([0, ".\n"]);
    const missing = await exec([name, "-c", "main", "--", "no-such-program"]);
    expect([missing.code, missing.stderr]).toEqual([
      127,
      expect.stringContaining("executable file not found in $PATH"),
    ]);
  });

  test("exec -i carries binary data both ways, and the end of input", async () => {
    const data = randomBytes(3_000_001);
    const back = await exec(["-i", name, "-c", "main", "--", "cat"], [data]);
    expect([back.code, sha256(back.stdout)]).toEqual([0, sha256(data)]);
  });

  test("exec -it has a terminal", async () => {
    const { file, cwd, env: own } = kubectl.program;
    // Its size comes after its start, as on every node.
    const inner = `sh -c 'test -t 0 && test -t 2; until test "$(stty size)" != "0 0"; do sleep 0.02; done; stty size; exit 5'`;
    const line = `stty rows 31 cols 87; ${file} exec -it ${name} -c main -- ${inner}; echo "code $?"`;
    const options = { cwd, env: { ...own, ...env, SHELL: "/bin/sh" }, timeout: 60_000 };
    const running = promisify(execFile)("script", ["-qec", line, "/dev/null"], options);
    running.child.stdin?.end();
    const { stdout: output } = await running;
    expect(output).toContain("31 87\r\n");
    expect(output).toContain("code 5\r\n");
  });

  test("exec ends with its client, all that it started", async () => {
    const pidFile = node.path(name, "containers", "main", "pid");
    const script = "setsid sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 1000' & wait";
    const pipe = kubectl.pipe(["exec", name, "-c", "main", "--", "sh", "-c", script], [], env);
    let pid = 0;
    await until(() => {
      try {
        pid = Number(readFileSync(pidFile, "utf8"));
      } catch {
        return false;
      }
      return pid > 0;
    }, "the command does not start");
    pipe.child.kill("SIGKILL");
    await until(() => !lives(pid), "what exec started lives on without its client");
  });

  test("cp copies both ways, to the byte", async () => {
    const { cwd } = kubectl.program;
    const data = randomBytes(2_000_000);
    writeFileSync(join(cwd, "there"), data);
    for (const args of [
      ["there", `${name}:copied`],
      [`${name}:copied`, "back"],
    ]) {
      const { code, stderr } = await ended(kubectl.pipe(["cp", "-c", "main", ...args], [], env));
      expect([code, stderr]).toEqual([0, expect.not.stringContaining("error")]);
    }
    expect(sha256(readFileSync(join(cwd, "back")))).toBe(sha256(data));
  });

  test("port-forward forwards many connections to several ports, and says which port refuses", async () => {
    const { port } = server.address() as AddressInfo;
    const closed = createServer().listen(0, "127.0.0.1");
    await once(closed, "listening");
    const refused = (closed.address() as AddressInfo).port;
    closed.close();
    const args = ["port-forward", `pod/${name}`, `:${port}`, `:${refused}`];
    const pipe = kubectl.pipe(args, [], env);
    const ends = new RegExp(`127.0.0.1:(\\d+) -> ${port}\\n[^]*127.0.0.1:(\\d+) -> ${refused}\\n`);
    const [, local, other] = ends.exec(await seen(pipe.stdout, ends)) ?? [];
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => fetchEcho(Number(local), `number ${i}`)));
    expect(answers.every((answer, i) => answer.includes(`number ${i}`))).toBe(true);
    await fetchEcho(Number(other), "nobody").catch(() => {});
    await until(() => pipe.stderr().includes("refused"), `nobody says that the port refuses: ${pipe.stderr()}`);
    pipe.child.kill();
    await pipe.exit;
  });

  test("attach gives output and takes input, and ends with the container", async () => {
    const pipe = kubectl.pipe(["attach", "-i", name, "-c", "main"], keepOpen([Buffer.from("one\n")]), env);
    await seen(pipe.stdout, /got one\n/);
    pipe.child.kill();
    await pipe.exit;
    const again = kubectl.pipe(["attach", "-i", name, "-c", "main"], keepOpen([Buffer.from("two\n")]), env);
    await seen(again.stdout, /got two\n/);
    await node.deleteNow(name, 1);
    expect(await again.exit).toBe(0);
  });
});

test("a container that is not there, or has ended, is refused in words", async (context) => {
  if (!hasKubectl) return context.skip("there is no kubectl on PATH");
  await node.run("over", "exit 0");
  await node.ended("over");
  const { code, stderr } = await kubectl.run("exec", "over", "--", "true");
  expect([code, stderr]).toEqual([1, expect.stringMatching(/not running|completed pod/)]);
});

test("a hundred followers see all of a log, each to its end", async () => {
  await node.run("followed", "echo one; until test -e go; do sleep 0.05; done; seq 2 1000", {
    containers: [{ name: "main" }],
  });
  await node.running("followed");
  const signal = AbortSignal.timeout(60_000);
  let begun = 0;
  const follow = async () => {
    let text = "";
    const stream = await node.client.stream(paths.pods("default", "followed", "log"), {
      query: { follow: true },
      signal,
    });
    for await (const chunk of stream) {
      if (text === "") begun++;
      text += Buffer.from(chunk).toString();
    }
    return text;
  };
  const followers = Array.from({ length: 100 }, follow);
  await until(() => begun === 100, "not all followers see the first line");
  writeFileSync(node.path("followed", "containers", "main", "go"), "");
  const texts = await Promise.all(followers);
  const all = `one\n${Array.from({ length: 999 }, (_, i) => `${i + 2}\n`).join("")}`;
  expect(new Set(texts)).toEqual(new Set([all]));
});

test("logs --previous after a restart, and of all containers", async (context) => {
  if (!hasKubectl) return context.skip("there is no kubectl on PATH");
  const script =
    'n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) > n; echo "start $n"; test $n -lt 1 && exit 1; sleep 1000';
  await node.run("restarts", script, {
    restartPolicy: "OnFailure",
    containers: [{ name: "main" }, { name: "second", image: "none", command: ["sh", "-c", "echo hello; sleep 1000"] }],
  });
  await node.pod("restarts", (pod) =>
    (pod.status?.containerStatuses ?? []).some(({ restartCount, state }) => restartCount === 1 && state?.running),
  );
  await until(
    async () => (await kubectl.run("logs", "restarts", "-c", "main")).stdout === "start 1\n",
    "no second start",
  );
  expect(await kubectl.output("logs", "restarts", "-c", "main", "--previous")).toBe("start 0\n");
  const all = await kubectl.output("logs", "restarts", "--all-containers");
  expect(all.split("\n").sort()).toEqual(["", "hello", "start 1"]);
  await node.deleteNow("restarts");
});

/** What is sent to an echo, by a client that speaks HTTP. */
function fetchEcho(port: number, word: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port, path: `/${encodeURIComponent(word)}`, agent: false });
    // The echo of a request is no answer: its text is in the error.
    request.on("error", (error: Error & { rawPacket?: Buffer }) =>
      error.rawPacket ? resolve(decodeURIComponent(error.rawPacket.toString())) : reject(error),
    );
  });
}

/** Input that does not end by itself. */
async function* keepOpen(chunks: Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
  await new Promise<void>((resolve) => setTimeout(resolve, 60_000).unref());
}

function lives(pid: number): boolean {
  try {
    return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
