import type { EphemeralContainer, Pod, PodSpec } from "../../kube/types.ts";
import { jsonEqual, type Stored } from "../objects.ts";
import { duplicate, type FieldError, forbiddenField, invalid, missing } from "../status.ts";

const at = "spec.ephemeralContainers";
/** What an ephemeral container may not have. */
const forbidden = ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "restartPolicy"] as const;

/** The ephemeral containers of a pod, beside what holds for every container. */
export function validateEphemeral(spec: PodSpec): FieldError[] {
  const { initContainers = [], containers = [] } = spec;
  const names = new Set([...initContainers, ...containers].map(({ name }) => name));
  const targets = new Set(containers.map(({ name }) => name));
  return (spec.ephemeralContainers ?? []).flatMap((container, i) => {
    const errors: FieldError[] = [];
    if (names.has(container.name)) errors.push(duplicate(`${at}[${i}].name`, container.name));
    names.add(container.name);
    const target = container.targetContainerName;
    if (target && !targets.has(target)) errors.push(missing(`${at}[${i}].targetContainerName`, target));
    for (const field of forbidden) {
      if (container[field]) {
        errors.push(forbiddenField(`${at}[${i}].${field}`, "cannot be set for an Ephemeral Container"));
      }
    }
    if (Object.keys(container.resources ?? {}).length > 0) {
      errors.push(forbiddenField(`${at}[${i}].resources`, "cannot be set for an Ephemeral Container"));
    }
    return errors;
  });
}

/** PATCH and PUT of `/ephemeralcontainers`: containers can be added, and nothing else. */
export function validateEphemeralUpdate(object: Stored, old: Stored): FieldError[] {
  const of = ({ spec }: Pod): EphemeralContainer[] => spec?.ephemeralContainers ?? [];
  const next = of(object as Pod);
  return of(old as Pod).flatMap((before) => {
    const now = next.find(({ name }) => name === before.name);
    if (!now)
      return [forbiddenField(at, `existing ephemeral containers ${JSON.stringify(before.name)} may not be removed`)];
    if (jsonEqual(now, before)) return [];
    return [
      invalid(at, before.name, `existing ephemeral containers ${JSON.stringify(before.name)} may not be changed`),
    ];
  });
}
