import { describe, expect, test } from "vitest";
import type { Pod, ResourceRequirements } from "../../kube/types.ts";
import { computePodActions } from "./actions.ts";
import { resizeRefusal, withAllocated } from "./resize.ts";
import { computePodStatus } from "./status.ts";
import { viewOf } from "./testing.ts";

const podOf = (resources?: ResourceRequirements, more: Pod["spec"] = { containers: [] }): Pod => ({
  metadata: { name: "p" },
  spec: { ...more, containers: [{ name: "main", ...(resources && { resources }) }] },
});
const small = podOf({ limits: { cpu: "1", memory: "1Gi" } });
const refused = "In-place resize of containers is not supported by this node: main";

const cases: Record<string, [Pod, Pod, string | undefined]> = {
  "the same resources are no resize": [small, small, undefined],
  "nor are the same amounts in other words": [small, podOf({ limits: { memory: "1024Mi", cpu: "1000m" } }), undefined],
  "nor is a list that is empty now": [podOf(), podOf({}), undefined],
  "a changed limit is refused": [small, podOf({ limits: { cpu: "2", memory: "1Gi" } }), refused],
  "a changed request is refused": [
    small,
    podOf({ ...small.spec!.containers[0]!.resources, requests: { cpu: "1m" } }),
    refused,
  ],
  "so is a limit that is gone": [small, podOf(), refused],
  "so is that of a sidecar": [
    podOf(undefined, { initContainers: [{ name: "s" }], containers: [] }),
    podOf(undefined, { initContainers: [{ name: "s", resources: { requests: { cpu: "1" } } }], containers: [] }),
    "In-place resize of containers is not supported by this node: s",
  ],
};

describe("resize:", () => {
  test.each(Object.entries(cases))("%s", (_name, [allocated, asked, expected]) => {
    expect(resizeRefusal(allocated, asked)).toBe(expected);
    expect(resizeRefusal(allocated, withAllocated(asked, allocated))).toBeUndefined();
  });

  test("everything else of the newer object counts", () => {
    const asked = { ...podOf({ limits: { cpu: "2" } }), metadata: { name: "p", labels: { a: "b" } } };
    const kept = withAllocated(asked, small);
    expect(kept.metadata?.labels).toEqual({ a: "b" });
    expect(kept.spec?.containers[0]?.resources).toEqual(small.spec?.containers[0]?.resources);
  });

  test("the condition says Infeasible, and is taken back with the wish", () => {
    const of = (resizeRefused: string | undefined, before: { type: string; status: string }[]) => {
      const view = viewOf({ have: { main: ["running"] }, view: resizeRefused === undefined ? {} : { resizeRefused } });
      const input = { hostIP: "10.1.2.3", previous: before };
      const { conditions = [] } = computePodStatus(view, computePodActions(view), input);
      return conditions.find(({ type }) => type === "PodResizePending");
    };
    expect(of(undefined, [])).toBeUndefined();
    const said = of(refused, []);
    expect(said).toMatchObject({ status: "True", reason: "Infeasible", message: refused });
    expect(of(undefined, [said!])).toMatchObject({ status: "False" });
  });
});
