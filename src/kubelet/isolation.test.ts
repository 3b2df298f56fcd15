import { expect, it } from "vitest";
import type { Pod } from "../kube/types.ts";
import { isolationOf } from "./isolation.ts";

const byClass: Pod = { spec: { containers: [], runtimeClassName: "sandbox" } };
const byAnnotation = (value: string): Pod => ({ metadata: { annotations: { "hostlet.dev/isolation": value } } });

it.each<[string, Pod, "none" | "sandbox", string]>([
  ["has what its node has", {}, "sandbox", "sandbox"],
  ["has none on a node without", {}, "none", "none"],
  ["may ask for more by its RuntimeClass", byClass, "none", "sandbox"],
  ["may ask for more by annotation", byAnnotation("sandbox"), "none", "sandbox"],
  ["may not ask for less", byAnnotation("none"), "sandbox", "sandbox"],
  ["has what its node has where the word is unknown", byAnnotation("vm"), "none", "none"],
])("a pod %s", (_, pod, node, expected) => {
  expect(isolationOf(pod, node)).toBe(expected);
});
