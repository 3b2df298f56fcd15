import { expect, test } from "vitest";
import type { ContainerState } from "./api.ts";
import { labels } from "./names.ts";
import { observe, startFailure } from "./observed.ts";

const own = {
  [labels.kind]: "container",
  [labels.podUID]: "u",
  [labels.container]: "c",
  [labels.attempt]: "1",
  [labels.restartCount]: "4",
  [labels.imageID]: "app@sha256:12",
};
const zero = "0001-01-01T00:00:00Z";
const begin = "2026-01-01T00:00:00.123456789Z";
const end = "2026-01-01T00:00:05.9Z";
const inspect = (State: Partial<ContainerState>, more: Record<string, string> = {}) => ({
  Id: "abc",
  Created: begin,
  State: { Status: "running", ExitCode: 0, StartedAt: begin, FinishedAt: zero, ...State },
  Config: { Labels: { ...own, ...more } },
});
const startedAt = Date.parse("2026-01-01T00:00:00.123Z");
const finishedAt = Date.parse("2026-01-01T00:00:05.900Z");

test.each([
  ["created", { Status: "created", StartedAt: zero }, "created", undefined],
  ["running", {}, "running", undefined],
  [
    "an exit",
    { Status: "exited", FinishedAt: end, ExitCode: 3 },
    "ended",
    { exitCode: 3, reason: "Error", startedAt, finishedAt },
  ],
  [
    "success",
    { Status: "exited", FinishedAt: end },
    "ended",
    { exitCode: 0, reason: "Completed", startedAt, finishedAt },
  ],
  [
    "out of memory",
    { Status: "exited", FinishedAt: end, ExitCode: 137, OOMKilled: true },
    "ended",
    { exitCode: 137, reason: "OOMKilled", startedAt, finishedAt },
  ],
  [
    "an end before its start, by two clocks",
    { Status: "exited", FinishedAt: "2026-01-01T00:00:00.1Z" },
    "ended",
    { exitCode: 0, reason: "Completed", startedAt, finishedAt: startedAt },
  ],
])("%s", (_what, state, phase, exit) => {
  const observed = observe("docker", inspect(state));
  expect(observed?.phase).toBe(phase);
  expect(observed?.container.exit).toEqual(exit);
  expect(observed?.container).toMatchObject({ restartCount: 4, containerID: "docker://abc", imageID: "app@sha256:12" });
});

test("one that was never to be started keeps its exit as a label", () => {
  const exit = { exitCode: 127, reason: "ContainerCannotRun", message: "no such program", finishedAt: 5 };
  const state = { Status: "created", StartedAt: zero };
  expect(observe("docker", inspect(state, { [labels.refused]: JSON.stringify(exit) }))?.container.exit).toEqual(exit);
});

test.each([{}, { [labels.kind]: "pause" }, { ...own, [labels.attempt]: "x" }])(
  "others are none of ours: %j",
  (found) => {
    expect(observe("docker", { ...inspect({}), Config: { Labels: found } })).toBeUndefined();
  },
);

test.each([
  ['exec: "x": executable file not found in $PATH', 127],
  ['exec: "/x": stat /x: no such file or directory', 127],
  ['exec: "/x": permission denied', 126],
  ["cgroup: no space left on device", 128],
])("%s: %i", (message, code) => {
  expect(startFailure(message)).toBe(code);
});
