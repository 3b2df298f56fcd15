import { describe, expect, it } from "vitest";
import type { EphemeralContainer, PodSpec } from "../../kube/types.ts";
import type { Stored } from "../objects.ts";
import { validateEphemeral, validateEphemeralUpdate } from "./ephemeral.ts";

const spec = (...ephemeralContainers: EphemeralContainer[]): PodSpec => ({
  containers: [{ name: "main" }],
  initContainers: [{ name: "setup" }],
  ephemeralContainers,
});
const pod = (...containers: EphemeralContainer[]) => ({ spec: spec(...containers) }) as unknown as Stored;
const debug = { name: "debug", image: "x" };

describe("an ephemeral container", () => {
  it.each<[string, EphemeralContainer[], string[]]>([
    ["with a name of its own and a target that is there is one", [{ ...debug, targetContainerName: "main" }], []],
    ["has no other container's name", [{ name: "setup" }], ["spec.ephemeralContainers[0].name"]],
    ["has no name twice", [debug, debug], ["spec.ephemeralContainers[1].name"]],
    [
      "targets no init container",
      [{ ...debug, targetContainerName: "setup" }],
      ["spec.ephemeralContainers[0].targetContainerName"],
    ],
    ["has no probe", [{ ...debug, livenessProbe: {} }], ["spec.ephemeralContainers[0].livenessProbe"]],
    [
      "has no resources",
      [{ ...debug, resources: { limits: { cpu: "1" } } }],
      ["spec.ephemeralContainers[0].resources"],
    ],
  ])("%s", (_name, containers, fields) => {
    expect(validateEphemeral(spec(...containers)).map(({ field }) => field)).toEqual(fields);
  });

  it("can be added, and then neither be changed nor removed", () => {
    expect(validateEphemeralUpdate(pod(debug), pod())).toEqual([]);
    expect(validateEphemeralUpdate(pod(debug, { name: "other" }), pod(debug))).toEqual([]);
    expect(validateEphemeralUpdate(pod({ ...debug, image: "y" }), pod(debug))).toHaveLength(1);
    expect(validateEphemeralUpdate(pod(), pod(debug))).toHaveLength(1);
  });
});
