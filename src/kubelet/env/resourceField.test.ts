import { describe, expect, it } from "vitest";
import { resourceField } from "./resourceField.ts";

const container = {
  name: "c",
  resources: {
    limits: { cpu: "1500m", memory: "1Gi", "hugepages-2Mi": "4Mi" },
    requests: { cpu: "250m", memory: "64M" },
  },
};
const bare = { name: "bare" };
const pod = { spec: { containers: [container], initContainers: [bare] } };
const allocatable = { cpu: "8", memory: "32Gi", "ephemeral-storage": "100Gi" };

describe("resourceFieldRef", () => {
  it.each([
    ["limits.cpu", undefined, "2"],
    ["limits.cpu", "1m", "1500"],
    ["limits.cpu", "0", "2"],
    ["requests.cpu", "1", "1"],
    ["requests.cpu", "1m", "250"],
    ["limits.memory", undefined, "1073741824"],
    ["limits.memory", "1Mi", "1024"],
    ["limits.memory", "1G", "2"],
    ["requests.memory", "1Mi", "62"],
    ["limits.hugepages-2Mi", "1Mi", "4"],
    ["requests.ephemeral-storage", "1", "0"],
    ["limits.ephemeral-storage", "1Gi", "100"],
  ])("%s divided by %s is %s", (resource, divisor, value) => {
    const selector = divisor === undefined ? { resource } : { resource, divisor };
    expect(resourceField(selector, pod, container, allocatable)).toBe(value);
  });

  it("is what the node has where a container has no limit, and 0 where it has no request", () => {
    expect(resourceField({ resource: "limits.cpu" }, pod, bare, allocatable)).toBe("8");
    expect(resourceField({ resource: "requests.cpu" }, pod, bare, allocatable)).toBe("0");
    expect(resourceField({ resource: "limits.hugepages-2Mi" }, pod, bare, { "hugepages-2Mi": "8Mi" })).toBe("0");
  });

  it("is of the container that it names", () => {
    const selector = { resource: "limits.cpu", containerName: "c", divisor: "1m" };
    expect(resourceField(selector, pod, bare, allocatable)).toBe("1500");
  });

  it.each([
    [{ resource: "limits.nvidia.com/gpu" }, "unsupported container resource : limits.nvidia.com/gpu"],
    [{ resource: "limits" }, "unsupported container resource : limits"],
    [{ resource: "limits.cpu", containerName: "x" }, "container x not found"],
    [{ resource: "limits.cpu", divisor: "much" }, '"much" is not a quantity'],
  ])("refuses %j", (selector, message) => {
    expect(() => resourceField(selector, pod, container, allocatable)).toThrow(message);
  });

  it("must name a container in a volume", () => {
    expect(() => resourceField({ resource: "limits.cpu" }, pod, undefined, allocatable)).toThrow("names no container");
  });
});
