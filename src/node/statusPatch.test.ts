import { expect, test } from "vitest";
import { statusPatch } from "./statusPatch.ts";

const pod = { namespace: "ns", name: "p", uid: "u" };

test("reason and message that are no longer there are set to null, of the pod and of each condition", () => {
  const conditions = [
    { type: "Ready", status: "True" },
    { type: "Initialized", status: "False", reason: "R", message: "M" },
  ];
  expect(statusPatch(pod, { phase: "Running", conditions })).toEqual({
    metadata: { uid: "u" },
    status: {
      phase: "Running",
      reason: null,
      message: null,
      conditions: [
        { type: "Ready", status: "True", reason: null, message: null },
        { type: "Initialized", status: "False", reason: "R", message: "M" },
      ],
    },
  });
});

test("what is there is given as it is", () => {
  const status = { phase: "Failed", reason: "DeadlineExceeded", message: "too long", hostIP: "10.0.0.1" };
  expect(statusPatch(pod, status)).toEqual({ metadata: { uid: "u" }, status: { ...status, conditions: [] } });
});
