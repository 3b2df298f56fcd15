import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Container, Pod } from "../../kube/types.ts";
import { type AssignedDevices, assignDevices, deviceEnvironment } from "./assign.ts";
import { deviceVariables } from "./configured.ts";
import { amd, nvidia } from "./find.ts";
import { DeviceLedger, isRefused } from "./ledger.ts";

const asking = (name: string, count: number, resource = nvidia): Container => ({
  name,
  ...(count > 0 && { resources: { limits: { [resource]: String(count) } } }),
});
const sidecar = (name: string, count: number): Container => ({ ...asking(name, count), restartPolicy: "Always" });
const podOf = (containers: Container[], initContainers: Container[] = [], uid = "u1"): Pod => ({
  metadata: { namespace: "default", name: uid, uid },
  spec: { initContainers, containers },
});
const four = new Map([
  [nvidia, ["0", "1", "2", "3"]],
  [amd, ["0"]],
]);
const none = { extendedResources: {}, extendedResourceDevices: {}, extendedResourceVariables: {} };
const variables = deviceVariables(none);

const refusal = (count: number, available: number) => ({
  refused: `Allocate failed due to requested number of devices unavailable for ${nvidia}. Requested: ${count}, Available: ${available}, which is unexpected`,
});

const cases: Record<string, [Pod, string[], AssignedDevices | { refused: string }]> = {
  "a pod that asks for none gets none": [podOf([asking("a", 0)]), [], {}],
  "a container gets the first that are free": [podOf([asking("a", 2)]), ["0", "2"], { a: { [nvidia]: ["1", "3"] } }],
  "two containers of a pod have different ones": [
    podOf([asking("a", 1), asking("b", 1)]),
    [],
    { a: { [nvidia]: ["0"] }, b: { [nvidia]: ["1"] } },
  ],
  "one maker's devices are none of the other's": [podOf([asking("a", 1, amd)]), ["0"], { a: { [amd]: ["0"] } }],
  "main containers use what init containers had": [
    podOf([asking("a", 2)], [asking("i", 1), asking("j", 1)]),
    ["3"],
    { i: { [nvidia]: ["0"] }, j: { [nvidia]: ["0"] }, a: { [nvidia]: ["0", "1"] } },
  ],
  "a sidecar keeps its own": [
    podOf([asking("a", 1)], [sidecar("s", 1), asking("i", 1)]),
    [],
    { s: { [nvidia]: ["0"] }, i: { [nvidia]: ["1"] }, a: { [nvidia]: ["1"] } },
  ],
  "a pod that asks for more than is free is refused": [podOf([asking("a", 2)]), ["0", "1", "2"], refusal(2, 1)],
  "so is one whose second container does": [podOf([asking("a", 3), asking("b", 2)]), [], refusal(2, 1)],
};

describe("devices are assigned:", () => {
  test.each(Object.entries(cases))("%s", (_name, [pod, taken, expected]) => {
    expect(assignDevices(pod, four, new Map([[nvidia, new Set(taken)]]))).toEqual(expected);
  });

  test("never twice, whatever comes and goes, also over a restart of the agent", () => {
    const step = fc.record({ pod: fc.nat(5), counts: fc.array(fc.nat(2), { minLength: 1, maxLength: 3 }) });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom("take", "release", "restart"), step)), (steps) => {
        let ledger = new DeviceLedger(four, variables);
        const have = new Map<string, AssignedDevices>();
        for (const [what, { pod, counts }] of steps) {
          const uid = `u${pod}`;
          if (what === "release") {
            ledger.release(uid);
            have.delete(uid);
          } else if (what === "restart") {
            ledger = new DeviceLedger(four, variables);
            for (const [id, devices] of have) ledger.restore(id, devices);
          } else {
            const containers = counts.map((count, index) => asking(`c${index}`, count));
            const assigned = ledger.take(podOf(containers, [], uid));
            if (!isRefused(assigned)) have.set(uid, assigned);
          }
          const all = [...have.values()].flatMap((a) => Object.values(a).flatMap((c) => c[nvidia] ?? []));
          expect(new Set(all).size).toBe(all.length);
        }
      }),
    );
  });
});

describe("a container is told", () => {
  test("what it has, and of other makers' that it has none", () => {
    expect(deviceEnvironment({ [nvidia]: ["1", "3"] }, four, variables)).toEqual({
      given: { CUDA_VISIBLE_DEVICES: "1,3", NVIDIA_VISIBLE_DEVICES: "1,3" },
      none: { ROCR_VISIBLE_DEVICES: "", HIP_VISIBLE_DEVICES: "" },
    });
  });

  test("nothing where the node gives out no devices", () => {
    expect(deviceEnvironment({}, new Map(), variables)).toEqual({ given: {}, none: {} });
  });

  test("nothing by a resource without variables", () => {
    expect(deviceEnvironment({ x: ["0"] }, new Map([["x", ["0"]]]), variables)).toEqual({ given: {}, none: {} });
  });
});
