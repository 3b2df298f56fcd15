import { describe, expect, it } from "vitest";
import type { PodSpec } from "../../kube/types.ts";
import { withPodDefaults } from "../defaults/pod.ts";
import type { Stored } from "../objects.ts";
import { validatePod } from "./pod.ts";
import { validatePodUpdate } from "./podUpdate.ts";

const container = { name: "c", image: "x" };

function pod(spec: Partial<PodSpec>): Stored {
  const object = { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec: { containers: [container], ...spec } };
  return withPodDefaults(object as unknown as Stored);
}

const lines = (spec: Partial<PodSpec>) => validatePod(pod(spec)).map((error) => `${error.field}: ${error.message}`);

describe("a pod is refused for", () => {
  it.each<[string, Partial<PodSpec>, string]>([
    ["no containers", { containers: [] }, "spec.containers: Required value"],
    [
      "a container without a name",
      { containers: [{ name: "", image: "x" }] },
      "spec.containers[0].name: Required value",
    ],
    ["a container without an image", { containers: [{ name: "c" }] }, "spec.containers[0].image: Required value"],
    [
      "two containers of one name",
      { containers: [container, container] },
      'spec.containers[1].name: Duplicate value: "c"',
    ],
    [
      "an init container of a container's name",
      { initContainers: [container] },
      'spec.initContainers[0].name: Duplicate value: "c"',
    ],
    [
      "a mount of no volume",
      { containers: [{ ...container, volumeMounts: [{ name: "v", mountPath: "/x" }] }] },
      'spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ],
    [
      "a mountPath twice",
      {
        volumes: [{ name: "v", emptyDir: {} }],
        containers: [
          {
            ...container,
            volumeMounts: [
              { name: "v", mountPath: "/x" },
              { name: "v", mountPath: "/x" },
            ],
          },
        ],
      },
      'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/x": must be unique',
    ],
    [
      "two volumes of one name",
      {
        volumes: [
          { name: "v", emptyDir: {} },
          { name: "v", emptyDir: {} },
        ],
      },
      'spec.volumes[1].name: Duplicate value: "v"',
    ],
    [
      "a volume of two kinds",
      { volumes: [{ name: "v", emptyDir: {}, configMap: { name: "x" } }] },
      "spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type",
    ],
    [
      "an item that leaves its volume",
      { volumes: [{ name: "v", configMap: { name: "x", items: [{ key: "k", path: "../x" }] } }] },
      `spec.volumes[0].configMap.items[0].path: Invalid value: "../x": must not contain '..'`,
    ],
    [
      "an unknown restartPolicy",
      { restartPolicy: "Sometimes" },
      'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ],
    [
      "a request above its limit",
      { containers: [{ ...container, resources: { limits: { cpu: "1" }, requests: { cpu: "2" } } }] },
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ],
    [
      "a mode that is none",
      { volumes: [{ name: "v", secret: { secretName: "x", defaultMode: 1000 } }] },
      "spec.volumes[0].secret.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal), both inclusive",
    ],
  ])("%s", (_name, spec, line) => {
    expect(lines(spec)).toContain(line);
  });

  it("nothing, where nothing is wrong", () => {
    expect(lines({})).toEqual([]);
  });

  it("a container's name beyond 63 letters", () => {
    expect(lines({ containers: [{ name: "a".repeat(64), image: "x" }] })[0]).toContain("must be no more than 63 bytes");
    expect(lines({ containers: [{ name: "a".repeat(63), image: "x" }] })).toEqual([]);
  });
});

describe("an existing pod", () => {
  const old = pod({ tolerations: [{ key: "a", operator: "Exists" }] });
  const oldSpec = old.spec as PodSpec;
  const errors = (spec: Partial<PodSpec>) => validatePodUpdate({ ...old, spec: { ...oldSpec, ...spec } }, old);

  it.each<[string, Partial<PodSpec>]>([
    ["its image", { containers: [{ ...oldSpec.containers[0], name: "c", image: "y" }] }],
    ["another toleration", { tolerations: [...(oldSpec.tolerations ?? []), { key: "b", operator: "Exists" }] }],
    ["its deadline", { activeDeadlineSeconds: 10 }],
  ])("may change %s", (_name, spec) => {
    expect(errors(spec)).toEqual([]);
  });

  it.each<[string, Partial<PodSpec>, string]>([
    ["its restartPolicy", { restartPolicy: "Never" }, "spec"],
    ["its containers", { containers: [...oldSpec.containers, { name: "d", image: "x" }] }, "spec.containers"],
    ["its node", { nodeName: "n" }, "spec"],
    ["away its tolerations", { tolerations: [] }, "spec.tolerations"],
    ["its scheduling gates to more", { schedulingGates: [{ name: "x" }] }, "spec.schedulingGates"],
  ])("may not change %s", (_name, spec, field) => {
    expect(errors(spec)).toMatchObject([{ field, reason: "FieldValueForbidden" }]);
  });
});
