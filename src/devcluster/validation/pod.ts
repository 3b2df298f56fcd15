import type { Container, Pod, PodSpec, Volume } from "../../kube/types.ts";
import type { Stored } from "../objects.ts";
import { quantityNano } from "../quantity.ts";
import { duplicate, type FieldError, forbiddenField, invalid, missing, notSupported, required } from "../status.ts";
import { validateEphemeral } from "./ephemeral.ts";
import { dnsLabel, dnsSubdomain, validateLabels } from "./names.ts";

/** What ValidatePod refuses, in its words; the parts of it that people run into. */
export function validatePod(object: Stored): FieldError[] {
  const { spec } = object as Pod;
  if (!spec) return [required("spec.containers")];
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]));
  return [
    ...validateVolumes(spec.volumes ?? []),
    ...validateContainers(spec, volumes),
    ...choice("spec.restartPolicy", spec.restartPolicy, ["Always", "OnFailure", "Never"]),
    ...choice("spec.dnsPolicy", spec.dnsPolicy, ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]),
    ...validateLabels("spec.nodeSelector", spec.nodeSelector),
    ...(spec.nodeName ? dnsSubdomain(spec.nodeName).map((p) => invalid("spec.nodeName", spec.nodeName, p)) : []),
    ...(spec.hostname ? dnsLabel(spec.hostname).map((p) => invalid("spec.hostname", spec.hostname, p)) : []),
    ...(spec.activeDeadlineSeconds !== undefined && spec.activeDeadlineSeconds < 1
      ? [
          invalid(
            "spec.activeDeadlineSeconds",
            spec.activeDeadlineSeconds,
            "must be between 1 and 2147483647, inclusive",
          ),
        ]
      : []),
    ...validateTolerations(spec),
    ...(spec.nodeName && (spec.schedulingGates ?? []).length > 0
      ? [forbiddenField("spec.nodeName", "cannot be set until all schedulingGates have been cleared")]
      : []),
  ];
}

function choice(field: string, value: string | undefined, accepted: string[]): FieldError[] {
  if (!value) return [required(field)];
  return accepted.includes(value) ? [] : [notSupported(field, value, accepted)];
}

function validateTolerations(spec: PodSpec): FieldError[] {
  return (spec.tolerations ?? []).flatMap((toleration, i) => {
    const at = `spec.tolerations[${i}]`;
    const errors: FieldError[] = [];
    if (toleration.operator && !["Equal", "Exists"].includes(toleration.operator)) {
      errors.push(notSupported(`${at}.operator`, toleration.operator, ["Equal", "Exists"]));
    }
    if (!toleration.key && toleration.operator !== "Exists") {
      errors.push(
        invalid(
          `${at}.operator`,
          toleration.operator ?? "",
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    }
    const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    if (toleration.effect && !effects.includes(toleration.effect)) {
      errors.push(notSupported(`${at}.effect`, toleration.effect, effects));
    }
    return errors;
  });
}

function validateVolumes(volumes: Volume[]): FieldError[] {
  const seen = new Set<string>();
  return volumes.flatMap((volume, i) => {
    const at = `spec.volumes[${i}]`;
    const errors: FieldError[] = [];
    const name = volume.name ?? "";
    if (name === "") errors.push(required(`${at}.name`));
    else errors.push(...dnsLabel(name).map((problem) => invalid(`${at}.name`, name, problem)));
    if (seen.has(name)) errors.push(duplicate(`${at}.name`, name));
    seen.add(name);
    const sources = Object.keys(volume).filter((key) => key !== "name");
    for (const extra of sources.slice(1)) {
      errors.push(forbiddenField(`${at}.${extra}`, "may not specify more than 1 volume type"));
    }
    if (volume.configMap && !volume.configMap.name) errors.push(required(`${at}.configMap.name`));
    if (volume.secret && !volume.secret.secretName) errors.push(required(`${at}.secret.secretName`));
    if (volume.hostPath && !volume.hostPath.path) errors.push(required(`${at}.hostPath.path`));
    const lists: [string, { key?: string; path?: string; mode?: number }[] | undefined][] = [
      [`${at}.configMap`, volume.configMap?.items],
      [`${at}.secret`, volume.secret?.items],
      [`${at}.downwardAPI`, volume.downwardAPI?.items],
    ];
    for (const [field, items] of lists) errors.push(...validateItems(`${field}.items`, items, field.endsWith("API")));
    const modes: [string, number | undefined][] = [
      [`${at}.configMap.defaultMode`, volume.configMap?.defaultMode],
      [`${at}.secret.defaultMode`, volume.secret?.defaultMode],
      [`${at}.downwardAPI.defaultMode`, volume.downwardAPI?.defaultMode],
      [`${at}.projected.defaultMode`, volume.projected?.defaultMode],
    ];
    for (const [field, mode] of modes) errors.push(...validateMode(field, mode));
    return errors;
  });
}

function validateMode(field: string, mode: number | undefined): FieldError[] {
  if (mode === undefined || (mode >= 0 && mode <= 0o777)) return [];
  return [invalid(field, mode, "must be a number between 0 and 0777 (octal), both inclusive")];
}

function validateItems(
  field: string,
  items: { key?: string; path?: string; mode?: number }[] | undefined,
  keyless: boolean,
): FieldError[] {
  return (items ?? []).flatMap((item, i) => [
    ...(keyless || item.key ? [] : [required(`${field}[${i}].key`)]),
    ...(item.path ? relativePath(`${field}[${i}].path`, item.path) : [required(`${field}[${i}].path`)]),
    ...validateMode(`${field}[${i}].mode`, item.mode),
  ]);
}

function relativePath(field: string, path: string): FieldError[] {
  if (path.startsWith("/")) return [invalid(field, path, "must be a relative path")];
  if (path.split("/").includes("..")) return [invalid(field, path, "must not contain '..'")];
  return path.startsWith("..") ? [invalid(field, path, "must not start with '..'")] : [];
}

function validateContainers(spec: PodSpec, volumes: Map<string, Volume>): FieldError[] {
  const seen = new Set<string>();
  const containers = spec.containers ?? [];
  const errors: FieldError[] = containers.length === 0 ? [required("spec.containers")] : [];
  for (const list of ["containers", "initContainers"] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) {
      const at = `spec.${list}[${i}]`;
      errors.push(...validateContainer(at, container, volumes));
      if (container.name && seen.has(container.name)) errors.push(duplicate(`${at}.name`, container.name));
      seen.add(container.name);
      if (list === "initContainers" && container.restartPolicy !== "Always") {
        for (const probe of ["livenessProbe", "readinessProbe", "startupProbe"] as const) {
          if (container[probe])
            errors.push(
              forbiddenField(`${at}.${probe}`, "may not be set for init containers without restartPolicy=Always"),
            );
        }
      }
    }
  }
  for (const [i, container] of (spec.ephemeralContainers ?? []).entries()) {
    errors.push(...validateContainer(`spec.ephemeralContainers[${i}]`, container, volumes));
  }
  return [...errors, ...validateEphemeral(spec)];
}

function validateContainer(at: string, container: Container, volumes: Map<string, Volume>): FieldError[] {
  const errors: FieldError[] = [];
  if (!container.name) errors.push(required(`${at}.name`));
  else errors.push(...dnsLabel(container.name).map((problem) => invalid(`${at}.name`, container.name, problem)));
  if (!container.image) errors.push(required(`${at}.image`));
  else if (container.image !== container.image.trim()) {
    errors.push(invalid(`${at}.image`, container.image, "must not have leading or trailing whitespace"));
  }
  errors.push(...choice(`${at}.imagePullPolicy`, container.imagePullPolicy, ["Always", "IfNotPresent", "Never"]));
  for (const [i, variable] of (container.env ?? []).entries()) {
    if (!variable.name) errors.push(required(`${at}.env[${i}].name`));
    if (variable.value && variable.valueFrom) {
      errors.push(invalid(`${at}.env[${i}].valueFrom`, "", "may not be specified when `value` is not empty"));
    }
  }
  errors.push(...validateMounts(at, container, volumes));
  errors.push(...validateResources(`${at}.resources`, container));
  for (const [i, port] of (container.ports ?? []).entries()) {
    if (!(port.containerPort >= 1 && port.containerPort <= 65535)) {
      errors.push(
        invalid(`${at}.ports[${i}].containerPort`, port.containerPort, "must be between 1 and 65535, inclusive"),
      );
    }
  }
  for (const name of ["livenessProbe", "readinessProbe", "startupProbe"] as const) {
    const probe = container[name];
    if (probe && !probe.exec && !probe.httpGet && !probe.tcpSocket && !probe.grpc) {
      errors.push(required(`${at}.${name}`, "must specify a handler type"));
    }
  }
  return errors;
}

function validateMounts(at: string, container: Container, volumes: Map<string, Volume>): FieldError[] {
  const paths = new Set<string>();
  return (container.volumeMounts ?? []).flatMap((mount, i) => {
    const field = `${at}.volumeMounts[${i}]`;
    const errors: FieldError[] = [];
    if (!mount.name) errors.push(required(`${field}.name`));
    else if (!volumes.has(mount.name)) errors.push(missing(`${field}.name`, mount.name));
    if (!mount.mountPath) errors.push(required(`${field}.mountPath`));
    else if (paths.has(mount.mountPath)) errors.push(invalid(`${field}.mountPath`, mount.mountPath, "must be unique"));
    paths.add(mount.mountPath);
    if (mount.subPath) errors.push(...relativePath(`${field}.subPath`, mount.subPath));
    if (mount.subPath && mount.subPathExpr) {
      errors.push(invalid(`${field}.subPathExpr`, mount.subPathExpr, "subPathExpr and subPath are mutually exclusive"));
    }
    return errors;
  });
}

function validateResources(at: string, container: Container): FieldError[] {
  const errors: FieldError[] = [];
  for (const list of ["limits", "requests"] as const) {
    for (const [name, text] of Object.entries(container.resources?.[list] ?? {})) {
      const nano = quantityNano(text);
      if (nano !== undefined && nano < 0n) {
        errors.push(invalid(`${at}.${list}[${name}]`, text, "must be greater than or equal to 0"));
      }
    }
  }
  for (const [name, text] of Object.entries(container.resources?.requests ?? {})) {
    const limit = container.resources?.limits?.[name];
    if (limit === undefined) continue;
    if ((quantityNano(text) ?? 0n) > (quantityNano(limit) ?? 0n)) {
      errors.push(invalid(`${at}.requests`, text, `must be less than or equal to ${name} limit of ${limit}`));
    }
  }
  return errors;
}
