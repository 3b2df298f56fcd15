import { expect, test } from "vitest";
import { type Pod, podRef } from "../kube/types.ts";
import type { Eviction } from "../kubelet/eviction.ts";
import type { Provider } from "../providers/contract.ts";
import { ManualClock } from "../testing/manualClock.ts";
import { Drainer } from "./drainer.ts";

const cause = { reason: "WalltimeExceeded", message: "its walltime of 60 s ends" };

function pod(name: string, terminationGracePeriodSeconds?: number): Pod {
  return {
    metadata: { namespace: "default", name, uid: `uid-${name}` },
    spec: { containers: [], ...(terminationGracePeriodSeconds !== undefined && { terminationGracePeriodSeconds }) },
  };
}

/** Only what a drain asks of a Provider. */
function fakeProvider(pods: Record<string, string>, list: Pod[]) {
  const evicted: Record<string, Eviction> = {};
  const provider = {
    list: () => list,
    get: (uid: string) => ({ phase: pods[uid.slice(4)] }),
    evict: (uid: string, eviction: Eviction) => {
      evicted[uid.slice(4)] = eviction;
    },
  } as unknown as Provider;
  return { provider, evicted };
}

test("each pod gets its own grace period, but no more than is left, less a fifth for the news of it", async () => {
  const phases = { quick: "Succeeded", slow: "Succeeded", plain: "Succeeded" };
  const list = [pod("quick", 2), pod("slow", 600), pod("plain")];
  const { provider, evicted } = fakeProvider(phases, list);
  const drainer = new Drainer({ provider, clock: new ManualClock() });
  await drainer.drain(cause, 15_000, new AbortController().signal);
  const grace = Object.fromEntries(Object.entries(evicted).map(([name, e]) => [name, e.gracePeriodSeconds]));
  expect(grace).toEqual({ quick: 2, slow: 12, plain: 12 });
  expect(evicted.quick).toMatchObject({ reason: "Terminated", message: cause.message });
});

test("a drain is done when the last pod has ended", async () => {
  const phases: Record<string, string> = { a: "Running", b: "Running" };
  const { provider } = fakeProvider(phases, [pod("a"), pod("b")]);
  const drainer = new Drainer({ provider, clock: new ManualClock() });
  let done = false;
  const drained = drainer.drain(cause, 15_000, new AbortController().signal).then(() => {
    done = true;
  });
  phases.a = "Failed";
  drainer.look();
  await Promise.resolve();
  expect(done).toBe(false);
  phases.b = "Failed";
  drainer.look();
  await drained;
});

test("a drain gives up at its deadline", async () => {
  const { provider } = fakeProvider({ a: "Running" }, [pod("a")]);
  const deadline = new AbortController();
  const drained = new Drainer({ provider, clock: new ManualClock() }).drain(cause, 15_000, deadline.signal);
  deadline.abort();
  await drained;
});

test("a pod that still comes is ended before it has begun; before a drain it is let be", async () => {
  const late = pod("late");
  const { provider, evicted } = fakeProvider({}, []);
  const drainer = new Drainer({ provider, clock: new ManualClock() });
  drainer.admit(late);
  expect(evicted).toEqual({});
  await drainer.drain(cause, 15_000, new AbortController().signal);
  drainer.admit(late);
  expect(Object.keys(evicted)).toEqual([podRef(late).name]);
});
