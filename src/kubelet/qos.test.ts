import { expect, it } from "vitest";
import type { Pod } from "../kube/types.ts";
import { qosOf } from "./resources.ts";

type Resources = { limits?: Record<string, string>; requests?: Record<string, string> };
const pod = (...all: Resources[]): Pod => ({
  spec: { containers: all.map((resources, index) => ({ name: `c${index}`, resources })) },
});

it.each<[string, Resources[], string]>([
  ["without a word is BestEffort", [{}], "BestEffort"],
  [
    "that asks for other things is BestEffort",
    [{ limits: { "nvidia.com/gpu": "1" }, requests: { cpu: "0" } }],
    "BestEffort",
  ],
  ["with all limits is Guaranteed", [{ limits: { cpu: "1", memory: "1Gi" } }], "Guaranteed"],
  [
    "whose requests are its limits is Guaranteed",
    [{ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1000m", memory: "1024Mi" } }],
    "Guaranteed",
  ],
  [
    "with a lower request is Burstable",
    [{ limits: { cpu: "1", memory: "1Gi" }, requests: { cpu: "1m" } }],
    "Burstable",
  ],
  ["of which one container has none is Burstable", [{ limits: { cpu: "1", memory: "1Gi" } }, {}], "Burstable"],
  ["with a request alone is Burstable", [{ requests: { memory: "1" } }], "Burstable"],
])("a pod %s", (_, resources, qos) => {
  expect(qosOf(pod(...resources))).toBe(qos);
});
