import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, type TestContext, test } from "vitest";
import { paths } from "../../src/kube/paths.ts";
import type { Container, Pod } from "../../src/kube/types.ts";
import { TestNode, terminatedState, until } from "./support/node.ts";

let node: TestNode;

beforeAll(async () => {
  node = await TestNode.start();
});

afterAll(() => node.stop());

/** Kubernetes 1.20 drops fields that are newer than it is. */
function needsNewFields(context: TestContext): void {
  const { version } = node.cluster;
  if (!version.startsWith("1.20.")) return;
  const why = `Kubernetes ${version} has no such field`;
  console.log(`SKIPPED: ${context.task.name}: ${why}`);
  context.skip(why);
}

/** One that nobody listens on, for a program that will. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A container that runs JavaScript. `$(` stays what it is. */
const js = (name: string, program: string, rest: Partial<Container> = {}): Container => ({
  name,
  image: "none",
  command: [process.execPath, "-e", program],
  ...rest,
});
const sh = (name: string, script: string, rest: Partial<Container> = {}): Container => ({
  name,
  image: "none",
  command: ["sh", "-c", script],
  ...rest,
});
const statusOf = (pod: Pod, name = "main") =>
  [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.ephemeralContainerStatuses ?? []),
  ].find((status) => status.name === name);
const isReady = (pod: Pod) => pod.status?.conditions?.find((c) => c.type === "Ready")?.status === "True";
const journal = (name: string) => join(node.dir, name);
const lines = (name: string) =>
  existsSync(journal(name)) ? readFileSync(journal(name), "utf8").split("\n").filter(Boolean) : [];

test("a pod is ready while its readiness probe by HTTP says so, through a named port and with its header", async () => {
  const port = await freePort();
  const sick = journal("sick");
  const server = `require("http").createServer((q, r) => {
    const ok = q.url === "/ready?x=1" && q.headers["x-probe"] === "yes" && !require("fs").existsSync(${JSON.stringify(sick)});
    r.writeHead(ok ? 200 : 503).end();
  }).listen(${port}, "127.0.0.1")`;
  const readinessProbe = {
    httpGet: { path: "/ready?x=1", port: "web", httpHeaders: [{ name: "X-Probe", value: "yes" }] },
    periodSeconds: 1,
    failureThreshold: 1,
  };
  const ports = [{ name: "web", containerPort: port }];
  await node.run("http-ready", "", { containers: [js("main", server, { ports, readinessProbe })] });
  const ready = await node.pod("http-ready", isReady);
  expect(statusOf(ready)).toMatchObject({ ready: true, started: true, restartCount: 0 });
  writeFileSync(sick, "");
  const unready = await node.pod("http-ready", (pod) => statusOf(pod)?.ready === false);
  expect(unready.status?.conditions).toContainEqual(
    expect.objectContaining({
      type: "Ready",
      status: "False",
      reason: "ContainersNotReady",
      message: "containers with unready status: [main]",
    }),
  );
  const event = await node.event("http-ready", "Unhealthy");
  expect(event.message).toMatch(/^Readiness probe failed: /);
  await node.deleteNow("http-ready");
});

test("a container whose liveness probe fails is ended and started anew, and its Events say why", async () => {
  const port = await freePort();
  const livenessProbe = { tcpSocket: { port }, periodSeconds: 1, failureThreshold: 2 };
  const script = `echo start >> ${journal("liveness")}; exec sleep 60`;
  await node.run("liveness", "", { restartPolicy: "Always", containers: [sh("main", script, { livenessProbe })] });
  const pod = await node.pod("liveness", (p) => (statusOf(p)?.restartCount ?? 0) >= 1);
  expect(statusOf(pod)?.lastState?.terminated).toMatchObject({ exitCode: 143, signal: 15 });
  expect((await node.event("liveness", "Killing")).message).toBe(
    "Container main failed liveness probe, will be restarted",
  );
  expect((await node.event("liveness", "Unhealthy")).message).toBe(
    `Liveness probe failed: dial tcp 127.0.0.1:${port}: connect: connection refused`,
  );
  expect(lines("liveness").length).toBeGreaterThanOrEqual(2);
  await node.deleteNow("liveness");
});

test("an exec probe runs in the container: its directory and environment, and what it says when it fails", async () => {
  const command = ["sh", "-c", 'test "$COLOUR" = blue && cat ready || { echo "not yet" >&2; exit 1; }'];
  const readinessProbe = { exec: { command }, periodSeconds: 1, timeoutSeconds: 5 };
  const env = [{ name: "COLOUR", value: "blue" }];
  const go = journal("exec-go");
  const script = `until test -e ${go}; do sleep 0.05; done; touch ready; exec sleep 60`;
  await node.run("exec-ready", "", { containers: [sh("main", script, { readinessProbe, env })] });
  expect((await node.event("exec-ready", "Unhealthy")).message).toMatch(/^Readiness probe failed: [\s\S]*not yet/);
  writeFileSync(go, "");
  await node.pod("exec-ready", isReady);
  await node.deleteNow("exec-ready");
});

test("an exec probe that takes longer than its timeout fails, and leaves no process", async () => {
  const command = ["sh", "-c", `echo $$$$ > ${journal("exec-pid")}; exec sleep 300`];
  const livenessProbe = { exec: { command }, periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 1000 };
  await node.run("exec-slow", "exec sleep 60", { containers: [{ name: "main", livenessProbe }] });
  const { message } = await node.event("exec-slow", "Unhealthy");
  expect(message).toMatch(/^Liveness probe failed: command timed out: .* timed out after 1s$/);
  const [pid = ""] = lines("exec-pid");
  await node.deleteNow("exec-slow");
  await until(async () => !existsSync(`/proc/${pid}/cwd`), "the probe's process is left");
});

test("hooks run commands in the container: postStart beside its start, preStop before its stop signal", async () => {
  const say = (what: string) => ({ exec: { command: ["sh", "-c", `echo ${what} >> ${journal("exec-hooks")}`] } });
  const lifecycle = { postStart: say("postStart"), preStop: say("preStop") };
  const script = `trap 'echo TERM >> ${journal("exec-hooks")}; exit 0' TERM; while :; do sleep 0.05; done`;
  await node.run("exec-hooks", "", { containers: [sh("main", script, { lifecycle })] });
  await node.pod("exec-hooks", (pod) => statusOf(pod)?.started === true);
  expect(lines("exec-hooks")).toEqual(["postStart"]);
  await node.deleteNow("exec-hooks", 20);
  await node.gone("exec-hooks");
  expect(lines("exec-hooks")).toEqual(["postStart", "preStop", "TERM"]);
});

test("a gRPC probe asks the health service", async (context) => {
  needsNewFields(context);
  const port = await freePort();
  const server = `require("http2").createServer().on("stream", (s) => {
    s.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    s.on("wantTrailers", () => s.sendTrailers({ "grpc-status": "0" }));
    s.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
  }).listen(${port}, "127.0.0.1")`;
  const readinessProbe = { grpc: { port }, periodSeconds: 1 };
  await node.run("grpc", "", { containers: [js("main", server, { readinessProbe })] });
  await node.pod("grpc", isReady);
  await node.deleteNow("grpc");
});

test("a startup probe holds the liveness probe back, and is not made again by the next agent", async () => {
  const port = await freePort();
  // It answers the startup probe until it is told to, and then never again.
  const enough = journal("startup-enough");
  const server = `const s = require("net").createServer().listen(${port}, "127.0.0.1");
    setInterval(() => require("fs").existsSync(${JSON.stringify(enough)}) && s.close(), 50)`;
  const startupProbe = { tcpSocket: { port }, periodSeconds: 1, failureThreshold: 30 };
  const livenessProbe = { tcpSocket: { port }, periodSeconds: 1, failureThreshold: 1000 };
  await node.run("startup", "", { containers: [js("main", server, { startupProbe, livenessProbe })] });
  await node.pod("startup", (pod) => statusOf(pod)?.started === true);
  expect((await node.pod("startup", isReady)).status?.phase).toBe("Running");
  writeFileSync(enough, "");
  await node.stopAgent();
  await node.startAgent();
  // The liveness probe of the next agent fails: so it is made, and the container has stayed started.
  await until(async () => {
    const events = await node.events("startup");
    return events.some(({ message }) => message?.startsWith("Liveness probe failed"));
  }, "the liveness probe is not made");
  expect(statusOf(await node.running("startup"))).toMatchObject({ started: true, restartCount: 0 });
  await node.deleteNow("startup");
});

test("sidecars start in order, each awaited by its probe, hold up no end, and end last and in reverse", async (context) => {
  needsNewFields(context);
  const port = await freePort();
  const log = journal("sidecars");
  const say = (what: string) => `echo ${what} >> ${log}`;
  const sidecar = (name: string, begin: string, rest: Partial<Container> = {}) =>
    sh(
      name,
      `trap '${say(`${name} ends`)}; exit 0' TERM; ${begin}${say(`${name} begins`)}; while :; do sleep 0.02; done`,
      {
        restartPolicy: "Always",
        ...rest,
      },
    );
  const listener = `setTimeout(() => require("net").createServer().listen(${port}, "127.0.0.1"), 300)`;
  await node.run("sidecars", "", {
    initContainers: [
      sidecar("first", `${process.execPath} -e '${listener}' & `, {
        startupProbe: { tcpSocket: { port }, periodSeconds: 1, failureThreshold: 60 },
      }),
      sidecar("second", ""),
      sh("setup", `sleep 0.1; ${say("setup")}`),
    ],
    containers: [sh("main", `sleep 0.2; ${say("main")}`)],
  });
  const pod = await node.ended("sidecars");
  expect(pod.status?.phase).toBe("Succeeded");
  expect(lines("sidecars")).toEqual(["first begins", "second begins", "setup", "main", "second ends", "first ends"]);
  expect(statusOf(pod, "first")?.state?.terminated).toMatchObject({ exitCode: 0 });
});

test("a sidecar that ends is restarted beside the main container", async (context) => {
  needsNewFields(context);
  await node.run("sidecar-restarts", "", {
    initContainers: [sh("side", `echo x >> ${journal("side")}; sleep 0.1; exit 3`, { restartPolicy: "Always" })],
    containers: [sh("main", "exec sleep 60")],
  });
  const pod = await node.pod("sidecar-restarts", (p) => (statusOf(p, "side")?.restartCount ?? 0) >= 1);
  expect(pod.status?.phase).toBe("Running");
  expect(statusOf(pod, "side")?.lastState?.terminated).toMatchObject({ exitCode: 3 });
  await node.deleteNow("sidecar-restarts");
});

test("preStop by HTTP comes before the stop signal", async () => {
  const port = await freePort();
  const log = journal("prestop");
  const program = `const fs = require("fs"); const say = (t) => fs.appendFileSync(${JSON.stringify(log)}, t + "\\n");
    require("http").createServer((q, r) => { say("asked " + q.url); r.end(); }).listen(${port}, "127.0.0.1", () => say("up"));
    process.on("SIGTERM", () => { say("TERM"); process.exit(0); })`;
  const lifecycle = { preStop: { httpGet: { port, path: "/bye" } } };
  await node.run("prestop", "", { containers: [js("main", program, { lifecycle })] });
  await until(async () => lines("prestop").includes("up"), "it does not come up");
  await node.deleteNow("prestop", 20);
  await node.gone("prestop");
  expect(lines("prestop")).toEqual(["up", "asked /bye", "TERM"]);
});

test("a postStart that fails ends its container", async () => {
  const lifecycle = { postStart: { httpGet: { port: await freePort() } } };
  await node.run("poststart", "", { containers: [sh("main", "exec sleep 60", { lifecycle })] });
  const pod = await node.ended("poststart");
  expect(terminatedState(pod)).toMatchObject({ exitCode: 143 });
  expect((await node.event("poststart", "FailedPostStartHook")).message).toBe("PostStartHook failed");
});

test("sleep as postStart holds up that a container counts as started", async (context) => {
  needsNewFields(context);
  const lifecycle = { postStart: { sleep: { seconds: 1 } } };
  await node.run("slept", "", { containers: [sh("main", "exec sleep 60", { lifecycle })] });
  const running = await node.pod("slept", (pod) => statusOf(pod)?.state?.running !== undefined);
  expect(statusOf(running)).toMatchObject({ started: false, ready: false });
  await node.pod("slept", (pod) => statusOf(pod)?.started === true);
  await node.deleteNow("slept");
});

test("a container that ignores its stop signal is killed when the grace period is over, and a shorter one shortens it", async () => {
  await node.run("deaf", `trap '' TERM; echo up > ${journal("deaf")}; while :; do sleep 0.05; done`);
  await until(async () => lines("deaf").length === 1, "it does not come up");
  await node.deleteNow("deaf", 300);
  await node.deleteNow("deaf", 1);
  const pod = await node.pod("deaf", (p) => terminatedState(p) !== undefined);
  expect(terminatedState(pod)).toMatchObject({ exitCode: 137, signal: 9 });
  await node.gone("deaf");
});

test("what a container leaves in its termination log is its message, whoever asks later", async () => {
  await node.run("message", 'echo "out of luck" > $HOSTLET_TERMINATION_LOG; exit 3');
  expect(terminatedState(await node.ended("message"))).toMatchObject({ exitCode: 3, message: "out of luck\n" });
  await node.stopAgent();
  await node.startAgent();
  const pod = await node.ended("message");
  expect(terminatedState(pod)).toMatchObject({ message: "out of luck\n" });
});

test("without one, and with FallbackToLogsOnError, the end of its log is", async () => {
  const main = { name: "main", terminationMessagePolicy: "FallbackToLogsOnError" };
  await node.run("fallback", "seq 1 100; echo broken >&2; exit 4", { containers: [main] });
  const message = terminatedState(await node.ended("fallback"))?.message ?? "";
  expect(message.split("\n").slice(-3)).toEqual(["100", "broken", ""]);
  expect(message.split("\n")[0]).toBe("22");
});

test("an ephemeral container starts in a pod that runs, once, with a status and a log of its own", async (context) => {
  needsNewFields(context);
  await node.run("debugged", "exec sleep 60");
  await node.running("debugged");
  const debug = sh("debugger", "echo found it; exit 5");
  await node.client.patch(
    paths.pods("default", "debugged", "ephemeralcontainers"),
    { spec: { ephemeralContainers: [debug] } },
    "strategic",
  );
  const pod = await node.pod("debugged", (p) => statusOf(p, "debugger")?.state?.terminated !== undefined);
  expect(statusOf(pod, "debugger")).toMatchObject({ restartCount: 0, state: { terminated: { exitCode: 5 } } });
  expect(pod.status?.phase).toBe("Running");
  expect(isReady(pod)).toBe(true);
  expect(await node.logs("debugged", { container: "debugger" })).toBe("found it\n");
  expect((await node.event("debugged", "Started")).message).toBeDefined();
  await node.deleteNow("debugged");
});
