import { describe, expect, test } from "vitest";
import { toTime } from "../../clock.ts";
import type { Event } from "../../kube/types.ts";
import { type CorrelatorState, correlate, type EventAction, newCorrelatorState } from "./correlate.ts";

const start = Date.UTC(2026, 10, 20);
const second = 1000;
const minute = 60 * second;

interface Said {
  at?: number;
  pod?: string;
  reason?: string;
  message?: string;
  fieldPath?: string;
}

let names = 0;

function say(
  state: CorrelatorState,
  { at = 0, pod = "p", reason = "BackOff", message = "m", fieldPath }: Said,
): EventAction {
  const time = toTime(start + at);
  const event: Event = {
    metadata: { name: `${pod}.${(++names).toString(16)}`, namespace: "ns" },
    involvedObject: { kind: "Pod", namespace: "ns", name: pod, uid: `uid-${pod}`, ...(fieldPath ? { fieldPath } : {}) },
    source: { component: "hostlet", host: "n" },
    type: "Warning",
    reason,
    message,
    count: 1,
    firstTimestamp: time,
    lastTimestamp: time,
  };
  return correlate(state, event, start + at);
}

const outline = (action: EventAction) =>
  action.type === "skip" ? "skip" : `${action.type} ${action.event.count} ${action.event.message}`;

describe("what is said becomes", () => {
  test.each<[string, Said[], string[]]>([
    ["one event, for one thing said", [{}], ["create 1 m"]],
    [
      "one event with a count, for the same said again",
      [{}, { at: minute }, { at: 90 * minute }],
      ["create 1 m", "patch 2 m", "patch 3 m"],
    ],
    ["two events, for two reasons", [{ reason: "A" }, { reason: "B" }], ["create 1 m", "create 1 m"]],
    ["two events, for two pods", [{ pod: "p" }, { pod: "q" }], ["create 1 m", "create 1 m"]],
    [
      "two events, for two containers",
      [{ fieldPath: "a" }, { fieldPath: "b" }, { fieldPath: "a" }],
      ["create 1 m", "create 1 m", "patch 2 m"],
    ],
  ])("%s", (_, said, expected) => {
    const state = newCorrelatorState();
    expect(said.map((one) => outline(say(state, one)))).toEqual(expected);
  });
});

test("a patch goes to the first event's name, keeps its first time and has its own last time", () => {
  const state = newCorrelatorState();
  const first = say(state, {});
  const second = say(state, { at: minute });
  if (first.type !== "create" || second.type !== "patch") return expect.fail();
  expect(second.event.metadata.name).toBe(first.event.metadata.name);
  expect(second.event).toMatchObject({ firstTimestamp: toTime(start), lastTimestamp: toTime(start + minute) });
});

test("the tenth different message within ten minutes starts one combined event", () => {
  const state = newCorrelatorState();
  const said = Array.from({ length: 12 }, (_, i) => outline(say(state, { at: i * minute, message: `m${i}` })));
  expect(said.slice(0, 9)).toEqual(Array.from({ length: 9 }, (_, i) => `create 1 m${i}`));
  expect(said.slice(9)).toEqual([
    "create 1 (combined from similar events): m9",
    "patch 2 (combined from similar events): m10",
    "patch 3 (combined from similar events): m11",
  ]);
});

test("different messages that come more than ten minutes apart stay apart", () => {
  const state = newCorrelatorState();
  const said = Array.from({ length: 12 }, (_, i) => outline(say(state, { at: i * 11 * minute, message: `m${i}` })));
  expect(said.every((one) => one.startsWith("create 1 m"))).toBe(true);
});

test("after 25 writes about one pod, one more goes through for each five minutes, with the whole count", () => {
  const state = newCorrelatorState();
  const said = Array.from({ length: 27 }, () => outline(say(state, {})));
  expect(said[24]).toBe("patch 25 m");
  expect(said.slice(25)).toEqual(["skip", "skip"]);
  expect(outline(say(state, { at: 5 * minute - 1 }))).toBe("skip");
  expect(outline(say(state, { at: 5 * minute }))).toBe("patch 29 m");
  expect(outline(say(state, { at: 5 * minute }))).toBe("skip");
});

test("a pod that says too much takes nothing from another", () => {
  const state = newCorrelatorState();
  for (let i = 0; i < 30; i++) say(state, {});
  expect(outline(say(state, { pod: "q" }))).toBe("create 1 m");
});

test("a clock that goes back gives no tokens and breaks nothing", () => {
  const state = newCorrelatorState();
  for (let i = 0; i < 25; i++) say(state, {});
  expect(outline(say(state, { at: -60 * minute }))).toBe("skip");
});

test("what is remembered is bounded", () => {
  const state = newCorrelatorState();
  for (let i = 0; i < 5000; i++) say(state, { pod: `p${i}` });
  expect([state.buckets.size, state.groups.size, state.written.size]).toEqual([4096, 4096, 4096]);
});
