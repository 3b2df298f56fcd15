import type { Container, Pod, PodSpec } from "../../kube/types.ts";
import { isObject, jsonEqual, type Stored } from "../objects.ts";
import { type FieldError, forbiddenField } from "../status.ts";

const allowed =
  "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/** A pod's spec is fixed once it is created, but for what ValidatePodUpdate lets through. */
export function validatePodUpdate(object: Stored, old: Stored): FieldError[] {
  const next = (object as Pod).spec;
  const before = (old as Pod).spec;
  if (!next || !before || next === before) return [];
  const errors: FieldError[] = [];
  if ((next.containers ?? []).length !== before.containers.length) {
    return [forbiddenField("spec.containers", "pod updates may not add or remove containers")];
  }
  if ((next.initContainers ?? []).length !== (before.initContainers ?? []).length) {
    return [forbiddenField("spec.initContainers", "pod updates may not add or remove containers")];
  }
  const kept = (before.tolerations ?? []).every((toleration) =>
    (next.tolerations ?? []).some((other) => jsonEqual(ageless(other), ageless(toleration))),
  );
  if (!kept)
    errors.push(
      forbiddenField("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"),
    );
  const gates = (before.schedulingGates ?? []).map((gate) => gate.name);
  const added = (next.schedulingGates ?? []).filter((gate) => !gates.includes(gate.name)).map((gate) => gate.name);
  if (added.length > 0) {
    errors.push(
      forbiddenField(
        "spec.schedulingGates",
        `only deletion is allowed, but found new scheduling gates: ${added.join(", ")}`,
      ),
    );
  }
  const gated = gates.length > 0;
  if (!jsonEqual(fixed(next, gated), fixed(before, gated))) {
    errors.push(forbiddenField("spec", `${allowed}\n${difference(fixed(before, gated), fixed(next, gated))}`));
  }
  return errors;
}

function ageless(toleration: object): object {
  return { ...toleration, tolerationSeconds: undefined };
}

/** The spec without what may change; a gated pod may still be told where to go. */
function fixed(spec: PodSpec, gated: boolean): Record<string, unknown> {
  const images = (list: Container[] | undefined) => list?.map((container) => ({ ...container, image: "" }));
  const {
    activeDeadlineSeconds: _deadline,
    tolerations: _tolerations,
    schedulingGates: _gates,
    terminationGracePeriodSeconds: grace,
    nodeSelector,
    affinity,
    ...rest
  } = spec;
  const result: Record<string, unknown> = { ...rest, containers: images(spec.containers) };
  if (spec.initContainers) result.initContainers = images(spec.initContainers);
  result.terminationGracePeriodSeconds = grace !== undefined && grace < 0 ? 1 : grace;
  if (gated) return result;
  if (nodeSelector) result.nodeSelector = nodeSelector;
  if (affinity) result.affinity = affinity;
  return result;
}

/** Which fields differ, one a line, as a hint; kube-apiserver prints a Go diff here. */
function difference(before: Record<string, unknown>, next: Record<string, unknown>, path = ""): string {
  const lines: string[] = [];
  for (const key of new Set([...Object.keys(before), ...Object.keys(next)])) {
    const [a, b] = [before[key], next[key]];
    if (jsonEqual(a, b)) continue;
    if (isObject(a) && isObject(b)) lines.push(difference(a, b, `${path}${key}.`));
    else lines.push(`  ${path}${key}: ${JSON.stringify(a)} -> ${JSON.stringify(b)}`);
  }
  return lines.join("\n");
}
