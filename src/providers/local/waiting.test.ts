import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HostletError } from "../../errors.ts";
import type { Pod } from "../../kube/types.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { turns, until } from "../../testing/turns.ts";
import { FakeNode, makePod } from "./testing/fakeNode.ts";

let clock: ManualClock;
let node: FakeNode;

beforeEach(async () => {
  clock = new ManualClock();
  node = new FakeNode(clock);
  await node.provider.recover();
});
afterEach(async () => {
  await node.dispose();
  expect(clock.pending).toBe(0);
});

const isRunning = (pod: Pod) => until(() => node.said(pod) === "Running main=running");
const waiting = (pod: Pod) => node.updatesOf(pod).at(-1)?.status.containerStatuses?.[0]?.state?.waiting;

describe("a pod whose ConfigMap is missing", () => {
  const spec = { volumes: [{ name: "v", configMap: { name: "settings" } }] };
  const missing = () => {
    throw new HostletError("CreateContainerFailed", 'configmap "settings" not found', { reason: "FailedMount" });
  };

  test("waits with the reason, says it in an Event, and goes on as soon as it appears", async () => {
    node.preparer.onPod = missing;
    const pod = makePod(spec);
    node.provider.create(pod);
    await until(() => waiting(pod) !== undefined);
    expect(waiting(pod)).toEqual({ reason: "ContainerCreating", message: 'configmap "settings" not found' });
    expect(node.events).toMatchObject([{ type: "Warning", reason: "FailedMount", message: /settings/ }]);
    node.preparer.onPod = () => {};
    node.objects.changed("ConfigMap default/settings");
    await isRunning(pod);
    expect(clock.now()).toBe(Date.parse("2026-01-01T00:00:00Z"));
  });

  test("is tried again by time, too, less and less often", async () => {
    node.preparer.onPod = missing;
    const pod = makePod(spec);
    node.provider.create(pod);
    const waits: (number | undefined)[] = [];
    for (let tries = 1; tries <= 8; tries++) {
      await until(() => node.events.length === tries);
      await turns();
      waits.push(clock.nextIn);
      clock.advance(clock.nextIn ?? 0);
    }
    expect(waits.map((ms) => (ms ?? 0) / 1000)).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  });

  test("for its environment, waits with the container's reason and goes on as soon as it appears", async () => {
    node.preparer.onContainer = () => {
      throw new HostletError("CreateContainerFailed", 'configmap "settings" not found', {
        reason: "CreateContainerConfigError",
      });
    };
    const envFrom = [{ configMapRef: { name: "settings" } }];
    const pod = makePod({ containers: [{ name: "main", envFrom }] });
    node.provider.create(pod);
    await until(() => waiting(pod)?.reason === "CreateContainerConfigError");
    expect(waiting(pod)?.message).toBe('configmap "settings" not found');
    node.preparer.onContainer = () => {};
    node.objects.changed("ConfigMap default/settings");
    await isRunning(pod);
    expect(node.host.starts).toEqual(["main#0"]);
  });
});

describe("a host that can't just now", () => {
  const full = () => {
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  };

  test.each(["onPod", "onContainer"] as const)("(disk full in %s) lets the pod wait and go on", async (hook) => {
    node.preparer[hook] = full;
    const pod = makePod();
    node.provider.create(pod);
    await until(() => waiting(pod)?.message?.includes("ENOSPC") === true);
    node.preparer[hook] = () => {};
    clock.advance(1000);
    await isRunning(pod);
  });

  test("(the runtime refuses the start) lets the pod wait and go on with a new attempt", async () => {
    node.host.onStart = full;
    const pod = makePod();
    node.provider.create(pod);
    await until(() => waiting(pod)?.reason === "CreateContainerError");
    node.host.onStart = () => {};
    clock.advance(1000);
    await isRunning(pod);
    expect(node.host.starts).toEqual(["main#1"]);
  });

  test("(no directory can be made) lets the pod wait, and other pods run", async () => {
    const pod = makePod();
    writeFileSync(node.dir(pod), "in the way");
    node.provider.create(pod);
    await until(() => waiting(pod) !== undefined);
    expect(node.reasons()).toEqual(["FailedCreatePodDirectory"]);
    const other = makePod();
    node.provider.create(other);
    await isRunning(other);
    renameSync(node.dir(pod), join(node.root, "away"));
    clock.advance(1000);
    await isRunning(pod);
  });

  test("(the record can't be replaced) still ends a pod at its deadline", async () => {
    const pod = makePod({ activeDeadlineSeconds: 60 });
    node.provider.create(pod);
    await isRunning(pod);
    mkdirSync(join(node.dir(pod), ".pod.json.tmp"));
    clock.advance(60_000);
    await until(() => node.said(pod) === "Failed main=exit 143");
    expect(node.updatesOf(pod).at(-1)?.status.reason).toBe("DeadlineExceeded");
  });
});

describe("a pod that this node can't run as it asks", () => {
  test("is Failed with the reason, is never started, and leaves nothing behind", async () => {
    const pod = makePod({ securityContext: { runAsUser: 4242 } });
    node.provider.create(pod);
    await until(() => node.said(pod).startsWith("Failed"));
    const { status } = node.updatesOf(pod).at(-1)!;
    expect(status.reason).toBe("UnsupportedSecurityContext");
    expect(status.message).toMatch("runAsUser 4242");
    expect(node.reasons()).toContain("UnsupportedSecurityContext");
    expect(existsSync(node.dir(pod))).toBe(false);
    node.provider.delete(pod, 30);
    await until(() => node.isGone(pod));
    expect(node.host.starts).toEqual([]);
  });

  test("is refused again by the next agent", async () => {
    const pod = makePod({ securityContext: { runAsUser: 4242 } });
    node.provider.create(pod);
    await turns();
    await node.restart();
    node.provider.create(pod);
    await turns();
    expect(node.host.starts).toEqual([]);
    expect(node.said(pod)).toMatch(/^Failed/);
  });

  test("(its volumes are impossible) is Failed with the reason, also after a restart of the agent", async () => {
    node.preparer.onPod = () => {
      throw new HostletError("PodInvalid", "path must not contain '..'", { reason: "FailedMount" });
    };
    const pod = makePod();
    node.provider.create(pod);
    await until(() => node.said(pod).startsWith("Failed"));
    node.preparer.onPod = () => {};
    await node.restart();
    node.provider.update(pod);
    await until(() => node.story(pod).length === 2);
    expect(node.updatesOf(pod).at(-1)?.status).toMatchObject({ phase: "Failed", reason: "FailedMount" });
    expect(node.host.starts).toEqual([]);
  });

  test("without effect are fields that are ignored: an Event names them", async () => {
    const pod = makePod({ hostAliases: [{ ip: "10.0.0.1", hostnames: ["a"] }] });
    node.provider.create(pod);
    await isRunning(pod);
    expect(node.events[0]).toMatchObject({ reason: "FieldsIgnored", message: /spec.hostAliases/ });
  });
});

describe("a path that isn't ours", () => {
  const things: Record<string, (path: string) => void> = {
    "a file": (path) => writeFileSync(path, "thesis"),
    "a directory": (path) => {
      mkdirSync(path);
      writeFileSync(join(path, "chapter1"), "thesis");
    },
    "a symlink to somewhere else": (path) => symlinkSync("/tmp", path),
    "a symlink to nowhere": (path) => symlinkSync("/nonexistent/nothing", path),
  };

  const snapshot = (dir: string): unknown =>
    readdirSync(dir, { withFileTypes: true }).map((entry) => {
      const path = join(dir, entry.name);
      if (entry.isSymbolicLink()) return [entry.name, readlinkSync(path)];
      return [entry.name, entry.isDirectory() ? snapshot(path) : readFileSync(path, "utf8")];
    });

  test.each(Object.entries(things))(
    "(%s) is left alone; the pod waits and goes on when it is away",
    async (_n, make) => {
      const dir = join(node.podsDir, "projects");
      mkdirSync(dir, { recursive: true });
      make(join(dir, "thesis"));
      const before = snapshot(dir);
      const pod = makePod({}, { namespace: "projects", name: "thesis", uid: "u" });
      node.provider.create(pod);
      await until(() => waiting(pod) !== undefined);
      expect(waiting(pod)?.message).toMatch(
        /projects\/thesis exists and was not made by this hostlet; it is left alone/,
      );
      expect(snapshot(dir)).toEqual(before);
      node.provider.delete(pod, 0);
      await until(() => node.isGone(pod));
      expect(snapshot(dir)).toEqual(before);

      const again = makePod({}, { namespace: "projects", name: "thesis", uid: "u2" });
      node.provider.create(again);
      await until(() => waiting(again) !== undefined);
      renameSync(join(dir, "thesis"), join(dir, "moved"));
      clock.advance(1000);
      await isRunning(again);
      expect(readlinkSync(join(dir, "thesis"))).toBe(node.dir(again));
    },
  );

  test("(a file where the namespace would be) is left alone, too", async () => {
    mkdirSync(node.podsDir, { recursive: true });
    writeFileSync(join(node.podsDir, "projects"), "mine");
    const pod = makePod({}, { namespace: "projects", name: "thesis", uid: "u" });
    node.provider.create(pod);
    await until(() => waiting(pod) !== undefined);
    expect(waiting(pod)?.message).toMatch("is left alone");
    node.provider.delete(pod, 0);
    await until(() => node.isGone(pod));
    expect(readFileSync(join(node.podsDir, "projects"), "utf8")).toBe("mine");
  });
});

describe("with --path-layout=pod", () => {
  test("a pod is found without its namespace, and one of the same name elsewhere has to wait for it", async () => {
    await node.dispose();
    node = new FakeNode(clock, "pod");
    await node.provider.recover();
    const first = makePod({}, { namespace: "a", name: "p1", uid: "first" });
    node.provider.create(first);
    await isRunning(first);
    expect(readlinkSync(join(node.podsDir, "p1"))).toBe(node.dir(first));
    const second = makePod({}, { namespace: "b", name: "p1", uid: "second" });
    node.provider.create(second);
    await until(() => waiting(second) !== undefined);
    expect(waiting(second)?.message).toMatch(/p1 is the directory of pod a\/p1/);
    expect(readlinkSync(join(node.podsDir, "p1"))).toBe(node.dir(first));
    node.provider.delete(first, 0);
    await until(() => node.isGone(first));
    clock.advance(1000);
    await isRunning(second);
  });
});

describe("volumes", () => {
  test("are refreshed when an object or the pod's own metadata changes, and not while the pod ends", async () => {
    const pod = makePod({ volumes: [{ name: "v", configMap: { name: "c" } }] });
    node.provider.create(pod);
    await isRunning(pod);
    expect(node.objects.watched).toEqual([]);
    clock.advance(1000);
    node.objects.changed("ConfigMap default/c");
    await until(() => node.preparer.refreshes === 1);
    node.provider.update({ ...pod, metadata: { ...pod.metadata, labels: { a: "b" } } });
    await until(() => node.preparer.refreshes === 2);
    node.provider.update({ ...pod, metadata: { ...pod.metadata, labels: { a: "b" }, resourceVersion: "7" } });
    await turns();
    expect(node.preparer.refreshes).toBe(2);
  });

  test("that can't be refreshed do not end the agent", async () => {
    const pod = makePod({ volumes: [{ name: "v", configMap: { name: "c" } }] });
    node.provider.create(pod);
    await isRunning(pod);
    clock.advance(1000);
    node.preparer.onRefresh = () => {
      throw new Error("boom");
    };
    node.objects.changed("ConfigMap default/c");
    await until(() => node.preparer.refreshes === 1);
    await turns();
    node.host.exit("main", 0);
    await until(() => node.said(pod) === "Running main=running (1)");
  });
});
