import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { paths } from "../../src/kube/paths.ts";
import type { ConfigMap, Node, Pod } from "../../src/kube/types.ts";
import { TestNode, terminatedState, until } from "./support/node.ts";

let node: TestNode;

beforeAll(async () => {
  node = await TestNode.start();
});

afterAll(() => node.stop());

const podsPath = (name: string, subresource?: string) => paths.pods("default", name, subresource);
const volume = (name: string) => ({ volumes: [{ name, configMap: { name } }] });
const mounted = (name: string, mountPath: string) => [{ name: "main", volumeMounts: [{ name, mountPath }] }];

test("a pod that succeeds says so, with its times, its reason and its identity", async () => {
  await node.run("succeeds", "exit 0");
  const pod = await node.ended("succeeds");
  expect(pod.status).toMatchObject({ phase: "Succeeded", hostIP: "127.0.0.1", podIP: "127.0.0.1" });
  const terminated = terminatedState(pod)!;
  expect(terminated).toMatchObject({ exitCode: 0, reason: "Completed" });
  expect(terminated.containerID).toBe(`process://${pod.metadata!.uid}_main_0`);
  expect(Date.parse(terminated.finishedAt!)).toBeGreaterThanOrEqual(Date.parse(pod.status!.startTime!));
  let reasons: (string | undefined)[] = [];
  await until(async () => {
    // A scheduler that has just heard of the node may look at the pod first.
    const events = (await node.events("succeeds")).filter(({ reason }) => reason !== "FailedScheduling");
    reasons = events.map(({ reason }) => reason).sort();
    return reasons.length >= 3;
  }, "too few events");
  expect(reasons).toEqual(["Created", "Scheduled", "Started"]);
});

test.each([
  ["its exit code", "exit 43", { exitCode: 43 }],
  ["the signal that ended it", "kill -SEGV $$$$", { exitCode: 139, signal: 11 }],
])("a container that fails reports %s", async (_name, script, expected) => {
  const name = `fails-${expected.exitCode}`;
  await node.run(name, script);
  const pod = await node.ended(name);
  expect(pod.status?.phase).toBe("Failed");
  expect(terminatedState(pod)).toMatchObject({ ...expected, reason: "Error" });
});

test.each<[string, string, string[], number, RegExp]>([
  ["not found", "missing", ["no-such-program"], 127, /"no-such-program".*not found/],
  ["not executable", "noexec", ["/etc/hostname"], 126, /\/etc\/hostname/],
])("a command that is %s ends with its code and a message", async (_what, name, command, exitCode, message) => {
  await node.run(name, "", { containers: [{ name: "main", command }] });
  const terminated = terminatedState(await node.ended(name))!;
  expect(terminated).toMatchObject({ exitCode, reason: "ContainerCannotRun" });
  expect(terminated.message).toMatch(message);
});

test("deleting asks with SIGTERM, and the exit code of the answer is seen before the object goes", async () => {
  await node.run("asked", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done");
  await node.running("asked");
  await until(async () => (await node.logs("asked")).includes("ready"), "the trap is not set");
  const seen = node.pod("asked", (pod) => terminatedState(pod) !== undefined);
  await node.deleteNow("asked", 10);
  expect(terminatedState(await seen)).toMatchObject({ exitCode: 7 });
  await node.gone("asked");
  expect(existsSync(node.path("asked"))).toBe(false);
});

test("what ignores SIGTERM is killed after the grace period, with all its descendants", async () => {
  const pidFile = join(node.dir, "daemon.pid");
  const daemon = `setsid sh -c 'trap "" TERM; echo $$$$ > ${pidFile}; while :; do sleep 0.05; done'`;
  await node.run("stubborn", `trap '' TERM; ${daemon} & while :; do sleep 0.05; done`);
  await node.running("stubborn");
  await until(() => existsSync(pidFile) && readFileSync(pidFile, "utf8").endsWith("\n"), "the daemon did not start");
  const seen = node.pod("stubborn", (pod) => terminatedState(pod) !== undefined);
  await node.deleteNow("stubborn", 1);
  expect(terminatedState(await seen)).toMatchObject({ exitCode: 137, signal: 9 });
  await node.gone("stubborn");
  expect(isAlive(readFileSync(pidFile, "utf8").trim())).toBe(false);
});

test("a pod recreated under its name at once is another pod", async () => {
  await node.run("again", "trap '' TERM; echo first; while :; do sleep 0.05; done", {
    terminationGracePeriodSeconds: 60,
  });
  const first = await node.running("again");
  await node.deleteNow("again");
  await node.run("again", "echo second; sleep 60");
  const second = await node.running("again");
  expect(second.metadata?.uid).not.toBe(first.metadata?.uid);
  await until(async () => (await node.logs("again")).includes("second"), "the second pod has no log");
  await until(
    () => readdirSync(join(node.config.stateDir, "pods")).every((uid) => uid !== first.metadata?.uid),
    "left",
  );
  expect(existsSync(node.path("again", "containers", "main", "pgid"))).toBe(true);
  await node.deleteNow("again");
});

test("a missing ConfigMap is waited for with a reason, and the pod goes on when it appears", async () => {
  const spec = { ...volume("late"), containers: mounted("late", "late") };
  await node.run("waits", "cat late/word", spec);
  const waiting = await node.pod("waits", (p) => Boolean(p.status?.containerStatuses?.[0]?.state?.waiting?.message));
  expect(waiting.status?.containerStatuses?.[0]?.state?.waiting).toMatchObject({ reason: "ContainerCreating" });
  expect((await node.event("waits", "FailedMount")).message).toContain('configmap "late" not found');
  await node.configMap("late", { word: "here" });
  await node.ended("waits");
  expect(await node.logs("waits")).toBe("here");
});

test("a missing Secret of the environment is waited for, too; optional ones are not", async () => {
  const env = [
    { name: "NEEDED", valueFrom: { secretKeyRef: { name: "late-secret", key: "word" } } },
    { name: "OPTIONAL", valueFrom: { configMapKeyRef: { name: "never", key: "word", optional: true } } },
  ];
  await node.run("waits-env", 'echo "$NEEDED $(printenv OPTIONAL || echo unset)"', {
    containers: [{ name: "main", env }],
  });
  const waiting = await node.pod("waits-env", (p) =>
    Boolean(p.status?.containerStatuses?.[0]?.state?.waiting?.message),
  );
  expect(waiting.status?.containerStatuses?.[0]?.state?.waiting).toMatchObject({
    reason: "CreateContainerConfigError",
    message: expect.stringContaining('secret "late-secret" not found'),
  });
  const data = { word: Buffer.from("here").toString("base64") };
  await node.client.create(paths.secrets("default"), { metadata: { name: "late-secret" }, data });
  await node.ended("waits-env");
  expect(await node.logs("waits-env")).toBe("here unset\n");
});

test("an update of a ConfigMap reaches the files of a running pod", async () => {
  await node.configMap("live", { word: "old" });
  const spec = { ...volume("live"), containers: mounted("live", "live") };
  await node.run("live", "until grep -q new live/word; do sleep 0.05; done; cat live/word", spec);
  await node.running("live");
  await node.client.patch<ConfigMap>(paths.configMaps("default", "live"), { data: { word: "new" } }, "merge");
  expect((await node.ended("live")).status?.phase).toBe("Succeeded");
  expect(await node.logs("live")).toBe("new");
});

test("readiness gates of others hold Ready back until they are set, and are kept", async () => {
  const gate = "example.com/gate";
  await node.run("gated", "sleep 60", { readinessGates: [{ conditionType: gate }] });
  const ready = (pod: Pod) => pod.status?.conditions?.find((c) => c.type === "Ready");
  const closed = await node.pod("gated", (pod) => pod.status?.phase === "Running" && ready(pod) !== undefined);
  expect(ready(closed)).toMatchObject({ status: "False", reason: "ReadinessGatesNotReady" });
  const condition = { type: gate, status: "True" };
  await node.client.patch(podsPath("gated", "status"), { status: { conditions: [condition] } }, "strategic");
  const open = await node.pod("gated", (pod) => ready(pod)?.status === "True");
  expect(open.status?.conditions?.find((c) => c.type === gate)).toMatchObject(condition);
  await node.deleteNow("gated");
});

test("what a node controller says of a node and its pods while it hears nothing is put right at once", async () => {
  await node.run("overwritten", "exec sleep 60");
  const isReady = (pod: Pod) => pod.status?.conditions?.find((c) => c.type === "Ready")?.status === "True";
  await node.pod("overwritten", isReady);
  const unready = (status: string) => ({ status: { conditions: [{ type: "Ready", status }] } });
  const patched = await node.client.patch<Pod>(podsPath("overwritten", "status"), unready("False"), "strategic");
  expect(isReady(patched)).toBe(false);
  await node.pod("overwritten", isReady);

  const path = paths.nodes(node.config.nodeName);
  await node.client.patch(`${path}/status`, unready("Unknown"), "strategic");
  await until(async () => {
    const { status } = await node.client.get<Node>(path);
    return status?.conditions?.find((c) => c.type === "Ready")?.status === "True";
  }, "the node is not Ready again");
  await node.deleteNow("overwritten");
});

test("init containers run in order before the main one, and their ends are shown", async () => {
  const init = (name: string, script: string) => ({ name, image: "none", command: ["sh", "-c", script] });
  const volumeMounts = [{ name: "shared", mountPath: "shared" }];
  await node.run("initialized", "cat shared/log", {
    initContainers: [
      { ...init("one", "sleep 0.1; echo one >> shared/log"), volumeMounts },
      { ...init("two", "echo two >> shared/log"), volumeMounts },
    ],
    containers: [{ name: "main", volumeMounts }],
    volumes: [{ name: "shared", emptyDir: {} }],
  });
  const pod = await node.ended("initialized");
  expect(await node.logs("initialized")).toBe("one\ntwo\n");
  expect(terminatedState(pod, "one")).toMatchObject({ exitCode: 0, reason: "Completed" });
});

test("a restarted container counts, and its last state and previous log are those of the start before", async () => {
  await node.run("restarts", "test -e once && echo second && exec sleep 60; touch once; echo first; exit 9", {
    restartPolicy: "OnFailure",
  });
  const pod = await node.pod(
    "restarts",
    (p) =>
      p.status?.containerStatuses?.[0]?.state?.running !== undefined &&
      p.status.containerStatuses[0].restartCount === 1,
  );
  expect(pod.status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({ exitCode: 9 });
  expect(await node.logs("restarts", { previous: true })).toBe("first\n");
  await until(async () => (await node.logs("restarts")) === "second\n", "the second start wrote nothing");
  await node.deleteNow("restarts");
});

test("a path that isn't ours is left alone: the pod says so, and goes on when it is moved away", async () => {
  const thesis = node.path("thesis");
  mkdirSync(thesis, { recursive: true });
  writeFileSync(join(thesis, "chapter-1"), "years of work");
  await node.run("thesis", "exit 0");
  const waiting = await node.pod("thesis", (p) => Boolean(p.status?.containerStatuses?.[0]?.state?.waiting?.message));
  expect(waiting.status?.containerStatuses?.[0]?.state?.waiting?.message).toContain(
    `${thesis} exists and was not made by`,
  );
  renameSync(thesis, join(node.dir, "saved"));
  expect((await node.ended("thesis")).status?.phase).toBe("Succeeded");
  expect(readFileSync(join(node.dir, "saved", "chapter-1"), "utf8")).toBe("years of work");
});

test("a pod that asks for somebody else's rights fails with the reason and never runs", async () => {
  const proof = join(node.dir, "ran");
  await node.run("other-user", `touch ${proof}`, { securityContext: { runAsUser: 4242 } });
  const pod = await node.ended("other-user");
  expect(pod.status).toMatchObject({ phase: "Failed", reason: "UnsupportedSecurityContext" });
  expect(pod.status?.message).toMatch(/user 4242/i);
  expect(existsSync(proof)).toBe(false);
});

test("without image and command the container waits with ErrImagePull, and is told what to do", async () => {
  await node.client.create<Pod>(paths.pods("default"), {
    metadata: { name: "no-image" },
    spec: { containers: [{ name: "main", image: "docker.io/library/nginx" }] },
  });
  const pod = await node.pod("no-image", (p) => Boolean(p.status?.containerStatuses?.[0]?.state?.waiting?.message));
  expect(pod.status?.containerStatuses?.[0]?.state?.waiting).toMatchObject({
    reason: "ErrImagePull",
    message: expect.stringContaining("Give it a command"),
  });
  await node.deleteNow("no-image");
});

test("a pod that is active longer than activeDeadlineSeconds is Failed with DeadlineExceeded", async () => {
  await node.run("late", "sleep 60", { activeDeadlineSeconds: 1 });
  const pod = await node.ended("late");
  expect(pod.status).toMatchObject({ phase: "Failed", reason: "DeadlineExceeded" });
});

test("an agent that comes back tells the ends that it missed, and starts nothing twice", async () => {
  const journal = join(node.dir, "journal");
  const go = join(node.dir, "go");
  await node.run("missed", `echo start >> ${journal}; until test -e ${go}; do sleep 0.05; done; exit 5`);
  await node.run("lives", `echo start >> ${journal}; exec sleep 60`);
  await node.running("lives");
  const { status } = await node.running("missed");
  await node.stopAgent();
  writeFileSync(go, "");
  await until(() => readdirSync(join(node.config.stateDir, "exits")).length > 0, "no exit file");
  await node.startAgent();
  const missed = await node.ended("missed");
  expect(terminatedState(missed)).toMatchObject({ exitCode: 5 });
  expect(missed.status?.startTime).toBe(status?.startTime);
  const lives = await node.running("lives");
  expect(lives.status?.containerStatuses?.[0]?.restartCount).toBe(0);
  expect(readFileSync(journal, "utf8")).toBe("start\nstart\n");
  await node.deleteNow("lives");
});

test("a pod deleted while the agent was away is cleaned up at its return", async () => {
  await node.run("orphan", "exec sleep 60");
  const { metadata } = await node.running("orphan");
  const pgid = readFileSync(node.path("orphan", "containers", "main", "pgid"), "utf8").trim();
  await node.stopAgent();
  await node.deleteNow("orphan");
  await node.startAgent();
  await until(() => !existsSync(join(node.config.stateDir, "pods", metadata!.uid!)), "its directory is still there");
  expect(isAlive(pgid)).toBe(false);
});

test("a status that could not be written is written later", async (context) => {
  const faults = node.faults(context);
  const isStatus = (request: { method: string; path: string }) =>
    request.method === "PATCH" && request.path.endsWith("/refused/status");
  faults.add({ match: isStatus, kind: "status", status: 500, times: 2 });
  faults.add({ match: isStatus, kind: "reset", times: 1 });
  await node.run("refused", "exit 6");
  expect(terminatedState(await node.ended("refused"))).toMatchObject({ exitCode: 6 });
});

/** Kubernetes reads `$$` in a command as `$`: a shell's own pid is `$$$$` in these manifests. */
function isAlive(pid: string): boolean {
  expect(pid).toMatch(/^\d+$/);
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
