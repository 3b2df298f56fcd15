import type { Container, Pod } from "../kube/types.ts";
import type { RuntimeFeature } from "../runtimes/contract.ts";
import type { AgentRights } from "./security/agentRights.ts";
import { refusedProfiles, refusedSecurity } from "./security/judge.ts";
import { isWritten } from "./volumes/kinds.ts";

export interface Unsupported {
  /** Demands that can't be met without running the pod with other rights than it asked for. */
  refused: string[];
  /** Fields that have no effect here; the pod runs without them. */
  ignored: string[];
}

export interface HostAbilities {
  rights: AgentRights;
  /** Of the container runtime. */
  features: ReadonlySet<RuntimeFeature>;
}

/**
 * What a pod asks for that this node does not do. A pod never runs with more or other rights than asked:
 * such a demand refuses it; everything else is named in an Event.
 */
export function unsupportedFields(pod: Pod, { rights, features }: HostAbilities): Unsupported {
  const refused = new Set<string>();
  const ignored: string[] = [];
  const spec = pod.spec;
  if (!spec) return { refused: [], ignored };
  const lacks = (feature: RuntimeFeature, asked: unknown, field: string) => {
    if (asked && !features.has(feature)) ignored.push(field);
  };

  if (spec.hostUsers === false) refused.add("spec.hostUsers false: the node has no user namespaces for pods");
  for (const { name } of spec.resourceClaims ?? []) {
    refused.add(`spec.resourceClaims ${name}: the node has no devices by claim`);
  }
  for (const { name } of spec.securityContext?.sysctls ?? []) {
    refused.add(`spec.securityContext.sysctls ${name}: pods share the host's kernel parameters`);
  }
  lacks("processNamespace", spec.shareProcessNamespace, "spec.shareProcessNamespace");
  lacks("hostAliases", spec.hostAliases?.length, "spec.hostAliases");
  if (spec.runtimeClassName && spec.runtimeClassName !== "sandbox") ignored.push("spec.runtimeClassName");
  if (spec.dnsConfig) ignored.push("spec.dnsConfig");
  if (spec.resources) ignored.push("spec.resources");

  const groups: [string, Container[] | undefined][] = [
    ["spec.initContainers", spec.initContainers],
    ["spec.containers", spec.containers],
  ];
  for (const [group, containers] of groups) {
    for (const container of containers ?? []) {
      const where = `${group}[${container.name}]`;
      if (container.volumeDevices?.length) refused.add(`${where}.volumeDevices: the node has no block volumes`);
      for (const mount of container.volumeMounts ?? []) {
        const place = `${where}.volumeMounts[${mount.name}]`;
        const written = spec.volumes?.some((volume) => volume.name === mount.name && isWritten(volume));
        if (mount.recursiveReadOnly === "Enabled") {
          refused.add(`${place}.recursiveReadOnly Enabled: the node can't make mounts below it read-only`);
        }
        lacks("readOnlyMounts", mount.readOnly && !written, `${place}.readOnly`);
        if (mount.mountPropagation && mount.mountPropagation !== "None") ignored.push(`${place}.mountPropagation`);
      }
      if (!features.has("users")) {
        for (const sentence of refusedSecurity(pod, where, container, rights)) refused.add(sentence);
      }
      for (const sentence of refusedProfiles(pod, where, container, rights)) refused.add(sentence);
      const security = container.securityContext;
      lacks(
        "readOnlyRootFilesystem",
        security?.readOnlyRootFilesystem,
        `${where}.securityContext.readOnlyRootFilesystem`,
      );
      lacks("securityProfiles", asksForProfile(pod, container), `${where}.securityContext.seccompProfile`);
      if (container.restartPolicyRules?.length) ignored.push(`${where}.restartPolicyRules`);
      lacks("limits", limitsOfHost(container), `${where}.resources.limits`);
    }
  }
  return { refused: [...refused], ignored };
}

/** Devices are given out whatever the runtime limits. */
function limitsOfHost({ resources }: Container): boolean {
  return Object.keys(resources?.limits ?? {}).some((name) => !name.includes("/"));
}

function asksForProfile(pod: Pod, { securityContext = {} }: Container): boolean {
  const ofPod = pod.spec?.securityContext;
  const types = [
    (securityContext.seccompProfile ?? ofPod?.seccompProfile)?.type,
    (securityContext.appArmorProfile ?? ofPod?.appArmorProfile)?.type,
  ];
  return types.includes("RuntimeDefault");
}
