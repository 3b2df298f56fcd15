import { describe, expect, test } from "vitest";
import { deviceVariables, nodeDevices, withDevices } from "./configured.ts";
import { nvidia } from "./find.ts";

type Config = Parameters<typeof nodeDevices>[0];
const none: Config = { extendedResources: {}, extendedResourceDevices: {}, extendedResourceVariables: {} };
const found = new Map([[nvidia, ["GPU-a", "GPU-b"]]]);

const cases: Record<string, [Partial<Config>, Record<string, string[]>, Record<string, string>]> = {
  "what is found is what there is": [{}, { [nvidia]: ["GPU-a", "GPU-b"] }, { [nvidia]: "2" }],
  "a count takes so many of those found": [
    { extendedResources: { [nvidia]: "1" } },
    { [nvidia]: ["GPU-a"] },
    { [nvidia]: "1" },
  ],
  "a count of 0 gives none out": [{ extendedResources: { [nvidia]: "0" } }, { [nvidia]: [] }, { [nvidia]: "0" }],
  "a count of more than are found gives numbers": [
    { extendedResources: { [nvidia]: "3" } },
    { [nvidia]: ["0", "1", "2"] },
    { [nvidia]: "3" },
  ],
  "names count before what is found, and before a count": [
    { extendedResources: { [nvidia]: "1" }, extendedResourceDevices: { [nvidia]: ["4", "6", "4"] } },
    { [nvidia]: ["4", "6"] },
    { [nvidia]: "2" },
  ],
  "a resource that no variable tells of is only counted": [
    { extendedResources: { [nvidia]: "0", "example.org/licence": "1k" } },
    { [nvidia]: [] },
    { [nvidia]: "0", "example.org/licence": "1k" },
  ],
  "a resource with a variable has devices": [
    {
      extendedResources: { [nvidia]: "0", "example.org/fpga": "2" },
      extendedResourceVariables: { "example.org/fpga": ["FPGAS"] },
    },
    { [nvidia]: [], "example.org/fpga": ["0", "1"] },
    { [nvidia]: "0", "example.org/fpga": "2" },
  ],
};

describe("the devices of a node:", () => {
  test.each(Object.entries(cases))("%s", (_name, [config, devices, capacity]) => {
    const known = nodeDevices({ ...none, ...config }, found);
    expect(Object.fromEntries(known)).toEqual(devices);
    expect(withDevices({ ...none, ...config }, known).extendedResources).toEqual(capacity);
  });

  test("the variables of a maker's devices may be others", () => {
    expect(deviceVariables({ ...none, extendedResourceVariables: { [nvidia]: ["MINE"] } })[nvidia]).toEqual(["MINE"]);
  });
});
