import { expect, test } from "vitest";
import { systemClock } from "../clock.ts";
import { ApiError } from "../kube/apiError.ts";
import type { KubeClient, StreamOptions } from "../kube/client.ts";
import type { ContainerStatus, Pod } from "../kube/types.ts";
import { LogFollower } from "./logFollower.ts";

const pod = (status: Partial<ContainerStatus>): Pod => ({
  metadata: { namespace: "n", name: "p", uid: "u" },
  status: { containerStatuses: [{ name: "c", image: "", imageID: "", ready: true, restartCount: 0, ...status }] },
});
const running = (id: string) => ({ containerID: id, state: { running: { startedAt: "t" } } });
const terminated = (id: string) => ({ terminated: { containerID: id, exitCode: 1, startedAt: "t" } });

/** Answers each request with the next of `answers`: lines, or what it fails with. */
function follower(answers: (string[] | Error)[]) {
  const asked: string[] = [];
  const shown: string[] = [];
  const failures: unknown[] = [];
  const client = {
    async stream(path: string, { query }: StreamOptions) {
      asked.push(`${path} ${query?.previous ? "previous" : "follow"}`);
      const answer = answers.shift() ?? [];
      if (answer instanceof Error) throw answer;
      return (async function* () {
        yield Buffer.from(answer.map((line) => `${line}\n`).join(""));
      })();
    },
  } as unknown as KubeClient;
  const subject = new LogFollower({
    client,
    clock: { ...systemClock, after: (_, callback) => systemClock.after(0, callback) },
    signal: new AbortController().signal,
    emit: async (_pod, container, lines) => void shown.push(...lines.map((line) => `${container}: ${line}`.trimEnd())),
    failed: (_pod, _container, error) => void failures.push(error),
  });
  return { subject, asked, shown, failures };
}
const line = (second: number, text: string) => `2026-01-01T00:00:0${second}.000000000Z ${text}`;
const log = "/api/v1/namespaces/n/pods/p/log";
const failure = (code: number) => new ApiError({ method: "GET", path: log }, { code, reason: "r", message: "m" });

test("a container is followed once, however often its pod is seen", async () => {
  const { subject, asked, shown } = follower([[line(1, "a")]]);
  subject.see(pod({ state: { waiting: { reason: "ContainerCreating" } } }));
  subject.see(pod(running("1")));
  subject.see(pod(running("1")));
  subject.see(pod({ containerID: "1", state: terminated("1") }));
  await subject.finished();
  expect([asked, shown]).toEqual([[`${log} follow`], ["c: a"]]);
});

test("a container that ended before it was seen running is read, too", async () => {
  const { subject, shown } = follower([[line(1, "a")]]);
  subject.see(pod({ state: terminated("1") }));
  await subject.finished();
  expect(shown).toEqual(["c: a"]);
});

test("a start that was missed is read from the previous log, before the present one", async () => {
  const { subject, asked, shown } = follower([[line(1, "a")], [line(2, "b")]]);
  subject.see(pod({ ...running("2"), lastState: terminated("1") }));
  await subject.finished();
  expect([asked, shown]).toEqual([
    [`${log} previous`, `${log} follow`],
    ["c: a", "c: b"],
  ]);
});

test("what fails is asked for again, and nothing is shown twice", async () => {
  const { subject, shown, failures } = follower([failure(500), [line(1, "a"), line(2, "b")]]);
  subject.see(pod(running("1")));
  await subject.finished();
  expect([shown, failures]).toEqual([["c: a", "c: b"], []]);
});

test("what goes on failing is given up with a word, what is gone without", async () => {
  const lasting = follower(Array.from({ length: 9 }, () => failure(500)));
  lasting.subject.see(pod(running("1")));
  await lasting.subject.finished();
  expect([lasting.asked.length, lasting.failures.length]).toEqual([5, 1]);

  const gone = follower([failure(404)]);
  gone.subject.see(pod(running("1")));
  await gone.subject.finished();
  expect([gone.asked.length, gone.failures]).toEqual([1, []]);
});
