import { describe, expect, it } from "vitest";
import { metadataField, podField } from "./fieldPath.ts";

const pod = {
  metadata: {
    name: "web-0",
    namespace: "shop",
    uid: "3f1c",
    labels: { "app.kubernetes.io/name": "web", tier: "front" },
    annotations: { note: 'two\nlines, a "quote", a tab\t and \\', bell: "\x07\x7f\u00ad\u{e0001}é" },
  },
  spec: { nodeName: "node-1", serviceAccountName: "default", containers: [] },
};
const addresses = { hostIPs: ["10.0.0.5", "fd00::5"], podIPs: ["10.1.0.9", "fd00::9"] };

describe("fieldRef in an environment variable", () => {
  it.each([
    ["metadata.name", "web-0"],
    ["metadata.namespace", "shop"],
    ["metadata.uid", "3f1c"],
    ["metadata.labels['tier']", "front"],
    ["metadata.labels['app.kubernetes.io/name']", "web"],
    ["metadata.labels['absent']", ""],
    ["metadata.labels['constructor']", ""],
    ["metadata.annotations['bell']", "\x07\x7f\u00ad\u{e0001}é"],
    ["spec.nodeName", "node-1"],
    ["spec.serviceAccountName", "default"],
    ["status.hostIP", "10.0.0.5"],
    ["status.hostIPs", "10.0.0.5,fd00::5"],
    ["status.podIP", "10.1.0.9"],
    ["status.podIPs", "10.1.0.9,fd00::9"],
  ])("%s is %j", (fieldPath, value) => {
    expect(podField(pod, fieldPath, addresses)).toBe(value);
  });

  it.each([
    ["status.phase", "unsupported fieldPath: status.phase"],
    ["metadata.labels['not a name']", "invalid key subscript in metadata.labels['not a name']"],
    ["spec.nodeName['x']", `fieldPath "spec.nodeName['x']" does not support subscript`],
  ])("%s is refused", (fieldPath, message) => {
    expect(() => podField(pod, fieldPath, addresses)).toThrow(message);
  });

  it("is empty where the node has no address yet", () => {
    expect(podField(pod, "status.podIP", { hostIPs: [], podIPs: [] })).toBe("");
  });
});

describe("fieldRef in a volume", () => {
  it("gives all labels in the order of their keys, quoted as Go does", () => {
    expect(metadataField(pod, "metadata.labels")).toBe('app.kubernetes.io/name="web"\ntier="front"');
    expect(metadataField(pod, "metadata.annotations")).toBe(
      'bell="\\a\\x7f\\u00ad\\U000e0001é"\nnote="two\\nlines, a \\"quote\\", a tab\\t and \\\\"',
    );
  });

  it("gives nothing but metadata, as on the kubelet", () => {
    expect(() => metadataField(pod, "spec.nodeName")).toThrow("unsupported fieldPath: spec.nodeName");
  });

  it("is empty where the pod has no labels", () => {
    expect(metadataField({ metadata: { name: "x" } }, "metadata.labels")).toBe("");
  });
});
