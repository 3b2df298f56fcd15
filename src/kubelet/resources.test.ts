import { expect, test } from "vitest";
import { containerResources } from "./resources.ts";

test("requests and limits come in the kernel's units, rounded up", () => {
  const resources = { requests: { cpu: "0.25", memory: "1.5Gi" }, limits: { cpu: "1500u", memory: "2G" } };
  expect(containerResources({ resources })).toEqual({
    cpuRequestMillis: 250,
    cpuLimitMillis: 2,
    memoryRequestBytes: 1_610_612_736,
    memoryLimitBytes: 2_000_000_000,
  });
});

test("a limit is the request where there is none", () => {
  expect(containerResources({ resources: { limits: { cpu: "1" } } })).toEqual({
    cpuRequestMillis: 1000,
    cpuLimitMillis: 1000,
  });
});

test("no resources, and none of those, are none", () => {
  expect(containerResources({})).toBeUndefined();
  expect(
    containerResources({ resources: { limits: { "nvidia.com/gpu": "1" }, requests: { cpu: "much" } } }),
  ).toBeUndefined();
});
