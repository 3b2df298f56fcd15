import { afterEach, beforeEach, describe, expect, it, type TestContext } from "vitest";
import { podRef } from "../kube/types.ts";
import { type ProviderHarness, ProviderSession, scriptPod } from "./conformanceSession.ts";
import { streamsRules } from "./conformanceStreams.ts";

/** Runs until SIGTERM. */
const long = "echo hello; exec sleep 1000";
const order = ["Pending", "Running", "Succeeded", "Failed"];

/**
 * What every Provider has to keep to (contract.ts). Each runs it in a test file of its own, and says why it leaves a
 * case out.
 * @param skips reasons, by the case's name
 */
export function providerConformance(
  name: string,
  makeHarness: () => Promise<ProviderHarness>,
  skips: Record<string, string> = {},
): void {
  describe(`${name}: as every provider`, () => {
    let harness: ProviderHarness;
    let session: ProviderSession;
    const rule = (title: string, body: (context: TestContext) => Promise<void>) => {
      const reason = skips[title];
      if (reason === undefined) it(title, body);
      else it(title, (context) => context.skip(reason));
    };

    beforeEach(async () => {
      harness = await makeHarness();
      session = new ProviderSession(harness);
      expect(await session.provider.recover()).toEqual([]);
    });
    afterEach(async () => {
      await session.provider.stop();
      await harness.dispose();
      for (const uid of new Set(session.updates.map((update) => update.pod.uid))) {
        const updates = session.updates.filter((update) => update.pod.uid === uid);
        // whatever a case did: gone is the last word, and said once
        expect(updates.slice(0, -1).filter((update) => update.gone)).toEqual([]);
      }
    });

    const start = async (script = long) => {
      const pod = scriptPod(script);
      session.provider.create(pod);
      await session.phase(pod, "Running");
      return pod;
    };

    rule("says what it is and what it can", async () => {
      expect(session.provider.info.name).toMatch(/^[a-z]+$/);
      expect(session.provider.info.runtimeVersion).toMatch(/^[a-z]+:\/\/\S+$/);
      for (const [ability, able] of Object.entries(session.provider.capabilities())) {
        const has = ability in session.provider && session.provider[ability as "exec"] !== undefined;
        // what it can't do it says in a sentence
        expect(able === true ? has : /\w+ \w+/.test(able)).toBe(true);
      }
    });

    describe("running", () => {
      rule("reports a pod that runs, with its start, its address and its conditions", async () => {
        const pod = await start();
        const { status } = await session.update(pod, (update) => update.status.phase === "Running");
        expect(Date.parse(status.startTime ?? "")).toBeGreaterThan(0);
        expect(status.hostIP).toBeTruthy();
        expect(status.containerStatuses).toMatchObject([{ name: "main", restartCount: 0, ready: true }]);
        for (const type of ["Initialized", "Ready", "ContainersReady", "PodScheduled"]) {
          expect(status.conditions).toContainEqual(expect.objectContaining({ type, status: "True" }));
        }
        expect(status.conditions?.every((c) => Date.parse(c.lastTransitionTime ?? "") > 0)).toBe(true);
      });

      rule("lists it, and gives the status that it reported last", async () => {
        const pod = await start();
        const { uid } = podRef(pod);
        expect(session.provider.list().map((one) => one.metadata?.uid)).toEqual([uid]);
        expect(session.provider.get(uid)).toEqual(session.of(pod).at(-1)?.status);
        expect(session.provider.get("unknown")).toBeUndefined();
      });

      rule("tells exit code 0 as Succeeded", async () => {
        const pod = scriptPod("exit 0");
        session.provider.create(pod);
        const { containerStatuses } = await session.phase(pod, "Succeeded");
        expect(containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 0, reason: "Completed" });
      });

      rule("tells another exit code as Failed", async () => {
        const pod = scriptPod("exit 3");
        session.provider.create(pod);
        const { containerStatuses } = await session.phase(pod, "Failed");
        expect(containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 3, reason: "Error" });
      });

      rule("runs a pod once that it is given twice", async () => {
        const pod = scriptPod("echo hello; exit 0");
        session.provider.create(pod);
        session.provider.create(pod);
        await session.phase(pod, "Succeeded");
        session.provider.create(pod);
        expect(await session.log(podRef(pod), "main")).toBe("hello\n");
        expect(session.provider.list()).toHaveLength(1);
      });

      rule("never goes back in a pod's life", async () => {
        const pods = ["exit 0", "exit 1", long].map((script) => scriptPod(script));
        for (const pod of pods) session.provider.create(pod);
        await session.phase(pods[2]!, "Running");
        for (const pod of pods) session.provider.delete(pod, 0);
        for (const pod of pods) await session.gone(pod);
        for (const pod of pods) {
          const phases = session.of(pod).flatMap(({ status }) => (status.phase ? [order.indexOf(status.phase)] : []));
          expect(phases).toEqual([...phases].sort());
          expect(phases).not.toContain(-1);
        }
      });

      rule("does not confuse two pods of one name", async () => {
        const old = scriptPod(long, "same");
        const young = scriptPod("echo hello; exit 0", "same");
        session.provider.create(old);
        await session.phase(old, "Running");
        session.provider.create(young);
        await session.phase(young, "Succeeded");
        session.provider.delete(young, 0);
        await session.gone(young);
        expect(session.provider.get(podRef(old).uid)?.phase).toBe("Running");
      });
    });

    describe("deleting", () => {
      rule("ends a pod, reports its end and then gone, and knows it no more", async () => {
        const pod = await start();
        session.provider.delete(pod, 30);
        await session.gone(pod);
        const { status } = session.of(pod).at(-1)!;
        expect(status.phase).toMatch(/Succeeded|Failed/);
        expect(status.containerStatuses?.[0]?.state?.terminated).toBeDefined();
        expect(session.provider.list()).toEqual([]);
        expect(session.provider.get(podRef(pod).uid)).toBeUndefined();
      });

      rule("kills at once with grace 0", async () => {
        const pod = await start("trap '' TERM; while true; do sleep 1; done");
        session.provider.delete(pod, 0);
        await session.gone(pod);
        expect(session.of(pod).at(-1)?.status.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(137);
      });

      rule("hurries when it is told again with a shorter grace period", async () => {
        const pod = await start("trap '' TERM; while true; do sleep 1; done");
        session.provider.delete(pod, 300);
        session.provider.delete(pod, 600);
        session.provider.delete(pod, 0);
        await session.gone(pod);
      });

      rule("says gone at once of a pod that it does not know", async () => {
        const pod = scriptPod(long);
        session.provider.delete(pod, 30);
        expect(session.of(pod)).toMatchObject([{ gone: true }]);
      });

      rule("removes a pod that has ended", async () => {
        const pod = scriptPod("exit 0");
        session.provider.create(pod);
        await session.phase(pod, "Succeeded");
        session.provider.delete(pod, 30);
        await session.gone(pod);
        expect(session.provider.list()).toEqual([]);
      });

      rule("removes a pod that it was given just before", async () => {
        const pod = scriptPod(long);
        session.provider.create(pod);
        session.provider.delete(pod, 0);
        await session.gone(pod);
      });

      rule("evicts a pod: it is Failed with the node's reason, and stays", async () => {
        const pod = await start();
        const { uid } = podRef(pod);
        session.provider.evict(uid, { reason: "Terminated", message: "walltime", gracePeriodSeconds: 30 });
        expect(await session.phase(pod, "Failed")).toMatchObject({ reason: "Terminated", message: "walltime" });
        expect(session.provider.get(uid)).toBeDefined();
        session.provider.evict("unknown", { reason: "R", message: "M", gracePeriodSeconds: 0 });
      });
    });

    describe("logs", () => {
      rule("are what the container wrote, also after its end", async () => {
        const pod = scriptPod("echo hello; exit 0");
        session.provider.create(pod);
        await session.phase(pod, "Succeeded");
        expect(await session.log(podRef(pod), "main")).toBe("hello\n");
      });

      rule("that are followed come until their reader goes", async () => {
        const pod = await start();
        const options = { follow: true, previous: false, timestamps: false };
        const abort = new AbortController();
        let text = "";
        try {
          for await (const chunk of session.provider.logs(podRef(pod), "main", options, abort.signal)) {
            text += Buffer.from(chunk).toString();
            if (text.endsWith("\n")) abort.abort();
          }
        } catch (error) {
          expect(abort.signal.aborted, String(error)).toBe(true);
        }
        expect(text).toBe("hello\n");
      });

      rule("of what does not exist are NotFound, in words", async () => {
        const pod = await start();
        const missing = scriptPod(long);
        await expect(session.log(podRef(missing), "main")).rejects.toMatchObject({ code: "NotFound" });
        await expect(session.log(podRef(pod), "other")).rejects.toMatchObject({ code: "NotFound" });
        await expect(session.log(podRef(pod), "main", { previous: true })).rejects.toMatchObject({ code: "NotFound" });
      });
    });

    streamsRules(rule, () => session, start);

    describe("the next agent", () => {
      rule("finds what runs, and neither restarts nor loses it", async () => {
        const pod = await start();
        const object = session.stored(pod);
        const found = await session.nextAgent();
        expect(found.map((one) => one.metadata?.uid)).toEqual([podRef(pod).uid]);
        expect(session.provider.list().map((one) => one.metadata?.uid)).toEqual([podRef(pod).uid]);
        const since = session.of(pod).length;
        session.provider.update(object);
        const { containerStatuses } = await session.phase(pod, "Running", since);
        expect(containerStatuses).toEqual(object.status?.containerStatuses);
        session.provider.delete(object, 30);
        await session.gone(pod);
      });

      rule("tells the same of a pod that has ended", async () => {
        const pod = scriptPod("exit 3");
        session.provider.create(pod);
        const before = await session.phase(pod, "Failed");
        const object = session.stored(pod);
        await session.nextAgent();
        const since = session.of(pod).length;
        session.provider.update(object);
        expect(await session.phase(pod, "Failed", since)).toEqual(before);
      });

      rule("ends what the cluster no longer has", async () => {
        const pod = await start();
        const [found] = await session.nextAgent();
        session.provider.delete(found!, 0);
        await session.gone(pod);
      });

      rule("hears nothing of the one before, which stops twice as well as once", async () => {
        const pod = await start();
        const { provider } = session;
        await provider.stop();
        await provider.stop();
        const before = session.updates.length;
        await session.nextAgent();
        session.provider.delete(pod, 0);
        await session.gone(pod);
        expect(session.updates.slice(before).filter((update) => update.gone)).toHaveLength(1);
      });
    });
  });
}
