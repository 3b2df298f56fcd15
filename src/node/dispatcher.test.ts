import { describe, expect, test } from "vitest";
import type { PodUpdate } from "../kube/podUpdate.ts";
import type { Pod } from "../kube/types.ts";
import type { Provider } from "../providers/contract.ts";
import { Admission } from "./admission.ts";
import { decideFor, PodDispatcher, type Standing, type Verdict } from "./dispatcher.ts";

const plain: Pod = { metadata: { namespace: "ns", name: "p", uid: "u1" }, spec: { containers: [] } };
const ended = (phase: string): Pod => ({ ...plain, status: { phase } });
const deleting = (grace?: number): Pod => ({
  ...plain,
  metadata: {
    ...plain.metadata,
    deletionTimestamp: "2026-01-01T00:00:00Z",
    ...(grace !== undefined && { deletionGracePeriodSeconds: grace }),
  },
});

const table: Record<string, [Pod, Standing | undefined, Verdict]> = {
  "a new pod is created": [plain, undefined, "create"],
  "a pod that is here is updated": [plain, "here", "update"],
  "a pod that ended in an earlier life is never started again": [ended("Succeeded"), undefined, "nothing"],
  "a pod that failed in an earlier life is never started again": [ended("Failed"), undefined, "nothing"],
  "a pod that ended and is still here is told of its changes": [ended("Succeeded"), "here", "update"],
  "a pod with a deletionTimestamp is deleted": [deleting(30), "here", "delete"],
  "a pod with a deletionTimestamp that is not here is deleted, so that its object goes": [
    deleting(30),
    undefined,
    "delete",
  ],
  "a pod that ended long ago and is being deleted is deleted, so that its object goes": [
    { ...deleting(0), status: { phase: "Failed" } },
    undefined,
    "delete",
  ],
  "a pod whose object is being removed is left alone": [deleting(0), "gone", "nothing"],
  "a pod whose object was removed and comes up in a late event is left alone": [plain, "away", "nothing"],
};

describe("decideFor", () => {
  test.each(Object.entries(table))("%s", (_name, [pod, standing, verdict]) => {
    expect(decideFor(pod, standing)).toBe(verdict);
  });
});

/** A dispatcher between a Provider and a writer that only note what they are told. */
function setUp(accepts?: (pod: Pod) => boolean, admission?: Admission) {
  const calls: string[] = [];
  const here = new Map<string, Pod>();
  const uidOf = (pod: Pod) => pod.metadata?.uid ?? "";
  const note = (what: string) => (pod: Pod, grace?: number) => {
    here.set(uidOf(pod), pod);
    calls.push(`${what} ${uidOf(pod)}${grace === undefined ? "" : ` in ${grace}`}`);
  };
  const provider = {
    create: note("create"),
    update: note("update"),
    delete: note("delete"),
    list: () => [...here.values()],
  } as Partial<Provider> as Provider;
  const writer = {
    set: ({ pod, gone, status }: PodUpdate) => {
      const said = [status.phase, status.reason, status.message].filter(Boolean).join(" ");
      calls.push(`write ${pod.uid} ${gone ? "gone" : said}`);
    },
    forget: (uid: string) => calls.push(`forget ${uid}`),
    reconcile: () => {},
  };
  const dispatcher = new PodDispatcher({
    provider,
    writer,
    clock: { now: () => 0, after: () => () => {} },
    ...(accepts && { accepts }),
    ...(admission && { admission }),
    refused: (pod, { reason }) => calls.push(`event ${uidOf(pod)} ${reason}`),
  });
  const report = (status: string) => {
    const gone = status === "gone";
    if (gone) here.delete("u1");
    const pod = { namespace: "ns", name: "p", uid: "u1" };
    dispatcher.report({ pod, status: gone ? {} : { phase: status }, gone });
  };
  return { calls, dispatcher, report, here };
}

describe("the dispatcher", () => {
  test("takes a pod through its life", () => {
    const { calls, dispatcher, report } = setUp();
    dispatcher.changed(plain);
    report("Running");
    dispatcher.changed(plain);
    dispatcher.changed(deleting(30));
    dispatcher.changed(deleting(5));
    report("gone");
    dispatcher.changed(deleting(0));
    dispatcher.removed(deleting(0));
    expect(calls).toEqual([
      "create u1",
      "write u1 Running",
      "update u1",
      "delete u1 in 30",
      "delete u1 in 5",
      "write u1 gone",
      "forget u1",
    ]);
  });

  test("remembers nothing of a pod whose object is away", () => {
    const { calls, dispatcher, report } = setUp();
    dispatcher.changed(plain);
    report("gone");
    dispatcher.removed(plain);
    dispatcher.changed(plain);
    expect(calls.filter((call) => call === "create u1")).toHaveLength(2);
  });

  test("ends a pod whose object was removed by force, with its own grace period, and writes no more of it", () => {
    const { calls, dispatcher, report } = setUp();
    const pod = { ...plain, spec: { containers: [], terminationGracePeriodSeconds: 7 } };
    dispatcher.changed(pod);
    dispatcher.removed(pod);
    dispatcher.removed(pod);
    report("Failed");
    report("gone");
    expect(calls).toEqual(["create u1", "forget u1", "delete u1 in 7", "forget u1"]);
  });

  test("deletes with grace 0 where the object names none", () => {
    const { calls, dispatcher } = setUp();
    dispatcher.changed(deleting());
    expect(calls).toEqual(["delete u1 in 0"]);
  });

  test("has the object removed of a pod that the Provider does not know", () => {
    const { calls, dispatcher, here, report } = setUp();
    dispatcher.changed(deleting(30));
    here.clear();
    report("gone");
    expect(calls).toEqual(["delete u1 in 30", "write u1 gone"]);
  });

  test("updates what was recovered instead of creating it, and ends what the cluster no longer has", () => {
    const { calls, dispatcher, here } = setUp();
    const lost: Pod = { ...plain, metadata: { ...plain.metadata, uid: "u2", name: "lost" } };
    here.set("u1", plain).set("u2", lost);
    dispatcher.recovered([plain, lost]);
    dispatcher.sync([plain]);
    expect(calls).toEqual(["forget u2", "delete u2 in 30", "update u1"]);
  });

  test("deletes a recovered pod whose object is being deleted", () => {
    const { calls, dispatcher } = setUp();
    dispatcher.recovered([plain]);
    dispatcher.sync([deleting(12)]);
    expect(calls).toEqual(["delete u1 in 12"]);
  });

  test("a whole list makes it forget what is gone, and changes nothing about what still ends", () => {
    const { calls, dispatcher, report } = setUp();
    dispatcher.changed(plain);
    dispatcher.sync([]);
    dispatcher.sync([]);
    report("gone");
    dispatcher.sync([plain]);
    expect(calls).toEqual(["create u1", "forget u1", "delete u1 in 30", "forget u1", "create u1"]);
  });

  test("does not take another pod of the same name for the old one", () => {
    const { calls, dispatcher } = setUp();
    dispatcher.changed(plain);
    dispatcher.removed(plain);
    dispatcher.changed({ ...plain, metadata: { ...plain.metadata, uid: "u9" } });
    expect(calls).toEqual(["create u1", "forget u1", "delete u1 in 30", "create u9"]);
  });

  test("leaves pods alone that the node does not accept", () => {
    const { calls, dispatcher } = setUp(() => false);
    dispatcher.sync([plain]);
    dispatcher.changed(deleting(0));
    dispatcher.removed(plain);
    expect(calls.filter((call) => !call.startsWith("forget"))).toEqual([]);
  });

  test("refuses a pod for which there is no room: it fails with the kubelet's words, and the Provider never hears of it", () => {
    const { calls, dispatcher, here, report } = setUp(undefined, new Admission("n1", { pods: "1" }));
    const second = (metadata: Pod["metadata"] = {}): Pod => ({
      ...plain,
      metadata: { ...plain.metadata, uid: "u2", ...metadata },
    });
    dispatcher.changed(plain);
    dispatcher.changed(second());
    dispatcher.changed(second({ labels: { changed: "since" } }));
    expect(calls).toEqual([
      "create u1",
      "write u2 Failed OutOfpods Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 1, capacity: 1",
      "event u2 OutOfpods",
    ]);
    calls.length = 0;
    dispatcher.changed(second({ deletionTimestamp: "2026-01-01T00:00:00Z" }));
    here.delete("u2");
    expect(calls).toEqual(["delete u2 in 0"]);
    report("Succeeded");
    dispatcher.changed({ ...plain, metadata: { ...plain.metadata, uid: "u3" } });
    expect(calls.at(-1)).toBe("create u3");
  });

  test("lets the older of two pods in first, and never refuses what was recovered or ran before", () => {
    const at = (uid: string, minute: number, status: Pod["status"] = {}): Pod => ({
      ...plain,
      metadata: { ...plain.metadata, uid, creationTimestamp: `2026-01-01T00:0${minute}:00Z` },
      status,
    });
    const one = setUp(undefined, new Admission("n1", { pods: "1" }));
    one.dispatcher.sync([at("young", 2), at("old", 1)]);
    expect(one.calls[0]).toBe("create old");
    expect(one.calls[1]).toMatch("write young Failed");

    const ran = { containerStatuses: [{ name: "c", containerID: "process://x" }] } as Pod["status"];
    const other = setUp(undefined, new Admission("n1", { pods: "1" }));
    other.dispatcher.recovered([at("a", 1), at("b", 1)]);
    other.dispatcher.sync([at("a", 1), at("b", 1), at("c", 1, ran)]);
    expect(other.calls).toEqual(expect.arrayContaining(["update a", "update b", "create c"]));
  });
});
