import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { amd, type DeviceReadings, findDevices, nvidia } from "./find.ts";

const listing = `GPU 0: NVIDIA A100 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA A100 (UUID: GPU-bbbb-2)
`;
const split = `GPU 0: NVIDIA A100 (UUID: GPU-aaaa-1)
  MIG 1g.5gb      Device  0: (UUID: MIG-cccc-3)
  MIG 1g.5gb      Device  1: (UUID: MIG-dddd-4)
GPU 1: NVIDIA A100 (UUID: GPU-bbbb-2)
`;
const two = ["null", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"];
const ofAmd = { devices: ["kfd", "null"], dri: ["card0", "renderD128", "renderD129"] };

const cases: Record<string, [Partial<DeviceReadings>, Record<string, string[]>]> = {
  "a host without devices has none": [{ devices: ["null", "nvidiactl"] }, {}],
  "NVIDIA's devices have the numbers of their files": [{ devices: two }, { [nvidia]: ["2", "10"] }],
  "with nvidia-smi they have their UUIDs": [
    { devices: two, nvidiaSmi: listing },
    { [nvidia]: ["GPU-aaaa-1", "GPU-bbbb-2"] },
  ],
  "a GPU that is split is left out": [{ devices: two, nvidiaSmi: split }, { [nvidia]: ["GPU-bbbb-2"] }],
  "an nvidia-smi that says something else counts for nothing": [
    { devices: two, nvidiaSmi: "NVIDIA-SMI has failed\n" },
    { [nvidia]: ["2", "10"] },
  ],
  "AMD's are its render nodes": [ofAmd, { [amd]: ["0", "1"] }],
  "render nodes without kfd are none of ROCm's": [{ dri: ["renderD128"] }, {}],
  "a batch job's share is what its environment names": [
    { devices: two, nvidiaSmi: listing, env: { CUDA_VISIBLE_DEVICES: "3, 1" } },
    { [nvidia]: ["3", "1"] },
  ],
  "a job without GPUs has none": [{ devices: two, env: { CUDA_VISIBLE_DEVICES: "NoDevFiles" } }, {}],
  "devices after one that is none are hidden": [{ env: { CUDA_VISIBLE_DEVICES: "0,-1,1" } }, { [nvidia]: ["0"] }],
  "AMD's share is told by either variable": [{ ...ofAmd, env: { HIP_VISIBLE_DEVICES: "1" } }, { [amd]: ["1"] }],
};

describe("the devices of a host:", () => {
  test.each(Object.entries(cases))("%s", (_name, [readings, expected]) => {
    expect(Object.fromEntries(findDevices({ devices: [], dri: [], env: {}, ...readings }))).toEqual(expected);
  });

  test("whatever is read, no device is there twice", () => {
    const text = fc.stringMatching(/^[\d,GPU: -]*$/);
    fc.assert(
      fc.property(text, text, (visible, nvidiaSmi) => {
        const env = { CUDA_VISIBLE_DEVICES: visible };
        const ids = findDevices({ devices: two, dri: [], nvidiaSmi, env }).get(nvidia) ?? [];
        expect(new Set(ids).size).toBe(ids.length);
      }),
    );
  });
});
