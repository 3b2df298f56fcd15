import { expect, test } from "vitest";
import { planLabels } from "./nodeLabels.ts";

const labels = {
  "kubernetes.io/hostname": "n",
  "kubernetes.io/role": "agent",
  "node-role.kubernetes.io/worker": "",
  "node-restriction.kubernetes.io/x": "y",
  "node.kubernetes.io/instance-type": "big",
  "sub.kubelet.kubernetes.io/x": "y",
  "jiriaf.site": "Local",
  "example.com/x": "y",
  type: "virtual-kubelet",
};

test("a node identity sets what NodeRestriction lets it, and leaves the rest to an administrator", () => {
  expect(planLabels(labels, "node")).toEqual({
    own: {
      "kubernetes.io/hostname": "n",
      "node.kubernetes.io/instance-type": "big",
      "sub.kubelet.kubernetes.io/x": "y",
      "jiriaf.site": "Local",
      "example.com/x": "y",
      type: "virtual-kubelet",
    },
    reserved: {
      "kubernetes.io/role": "agent",
      "node-role.kubernetes.io/worker": "",
      "node-restriction.kubernetes.io/x": "y",
    },
  });
});

test("any other identity sets all of them", () => {
  expect(planLabels(labels, "other")).toEqual({ own: labels, reserved: {} });
});
