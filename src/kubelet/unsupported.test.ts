import { describe, expect, test } from "vitest";
import type { Container, PodSpec } from "../kube/types.ts";
import type { RuntimeFeature } from "../runtimes/contract.ts";
import type { AgentRights } from "./security/agentRights.ts";
import { unsupportedFields } from "./unsupported.ts";

const user: AgentRights = { uid: 1000, gid: 100, groups: [100, 5000], capabilities: new Set(), selinux: false };
const root: AgentRights = {
  uid: 0,
  gid: 0,
  groups: [],
  capabilities: new Set(["SETUID", "SETGID", "SETPCAP", "CHOWN", "NET_BIND_SERVICE"]),
  selinux: true,
};

function verdict(spec: Partial<PodSpec>, rights = user, features: ReadonlySet<RuntimeFeature> = new Set()) {
  return unsupportedFields({ spec: { containers: [{ name: "c" }], ...spec } }, { rights, features });
}
const container = (part: Partial<Container>, agent = user, features: RuntimeFeature[] = []) =>
  verdict({ containers: [{ name: "c", ...part }] }, agent, new Set(features));
const secured = (securityContext: NonNullable<Container["securityContext"]>, agent = user) =>
  container({ securityContext }, agent);

describe("refused is", () => {
  const table: Record<string, [ReturnType<typeof verdict>, RegExp]> = {
    "another user for the pod": [
      verdict({ securityContext: { runAsUser: 0 } }),
      /^spec.securityContext.runAsUser 0: .*1000/,
    ],
    "another user for a container": [secured({ runAsUser: 5 }), /^spec.containers\[c\].securityContext.runAsUser 5/],
    "another user for an init container": [
      verdict({ initContainers: [{ name: "i", securityContext: { runAsUser: 5 } }] }),
      /^spec.initContainers\[i\]/,
    ],
    "another group": [secured({ runAsGroup: 5 }), /runAsGroup 5: .* group 100/],
    "a supplementary group that the agent is not in": [
      verdict({ securityContext: { supplementalGroups: [5000, 5001] } }),
      /^spec.securityContext.supplementalGroups 5001: .*100, 5000/,
    ],
    "an fsGroup that the agent is not in": [verdict({ securityContext: { fsGroup: 7 } }), /fsGroup 7/],
    "no other groups than those named, of an agent that can't let go of one": [
      verdict({ securityContext: { supplementalGroupsPolicy: "Strict", supplementalGroups: [] } }),
      /Policy Strict/,
    ],
    "a privileged container, of an ordinary user": [secured({ privileged: true }), /privileged: .* not root/],
    "a capability that the agent lacks": [
      secured({ capabilities: { add: ["NET_ADMIN"] } }, root),
      /capabilities.add NET_ADMIN: the node does not have it/,
    ],
    "a capability that does not exist": [
      secured({ capabilities: { add: ["FLY"] } }, root),
      /add FLY: there is no such/,
    ],
    "dropping one that does not exist": [
      secured({ capabilities: { drop: ["FLY"] } }, root),
      /drop FLY: there is no such/,
    ],
    "all capabilities, of an ordinary user": [secured({ capabilities: { add: ["ALL"] } }), /add ALL: .* not root/],
    "a seccomp profile by name": [
      verdict({ securityContext: { seccompProfile: { type: "Localhost", localhostProfile: "p" } } }, root),
      /^spec.securityContext.seccompProfile Localhost/,
    ],
    "an AppArmor profile by name": [
      secured({ appArmorProfile: { type: "Localhost", localhostProfile: "p" } }),
      /containers\[c\].securityContext.appArmorProfile Localhost/,
    ],
    "an SELinux label, where the host enforces them": [secured({ seLinuxOptions: { level: "s0" } }, root), /SELinux/],
    "kernel parameters": [verdict({ securityContext: { sysctls: [{ name: "net.x", value: "1" }] } }), /sysctls net.x/],
    "a mount that is read-only all the way down": [
      container({ volumeMounts: [{ name: "v", mountPath: "v", readOnly: true, recursiveReadOnly: "Enabled" }] }, user, [
        "readOnlyMounts",
      ]),
      /volumeMounts\[v\].recursiveReadOnly/,
    ],
    "devices by claim": [verdict({ resourceClaims: [{ name: "gpu" }] }), /resourceClaims gpu/],
    "block devices": [container({ volumeDevices: [{ name: "v", devicePath: "/dev/x" }] }), /volumeDevices/],
    "a user namespace": [verdict({ hostUsers: false }), /hostUsers/],
  };
  test.each(Object.entries(table))("%s", (_name, [{ refused, ignored }, message]) => {
    expect(refused).toEqual([expect.stringMatching(message)]);
    expect(ignored).toEqual([]);
  });
});

describe("nothing is said of", () => {
  const table: Record<string, ReturnType<typeof verdict>> = {
    "a plain pod": verdict({}),
    "the user and group that pods have anyway": secured({ runAsUser: 1000, runAsGroup: 100, runAsNonRoot: true }),
    "fewer capabilities than an ordinary user has, which is none": secured({ capabilities: { drop: ["ALL"] } }),
    "groups that the agent is in": verdict({ securityContext: { supplementalGroups: [5000], fsGroup: 100 } }),
    "any user, group, capability and privilege, of root": secured(
      {
        runAsUser: 5,
        runAsGroup: 6,
        privileged: true,
        capabilities: { drop: ["ALL"], add: ["CHOWN", "CAP_NET_BIND_SERVICE"] },
      },
      root,
    ),
    "anything about users, where the runtime sees to it": verdict(
      {
        securityContext: { runAsUser: 5, fsGroup: 6 },
        containers: [{ name: "c", securityContext: { privileged: true } }],
      },
      user,
      new Set(["users"]),
    ),
    "an SELinux label, where the host has none": secured({ seLinuxOptions: { level: "s0" } }),
    "an unconfined profile": secured({ seccompProfile: { type: "Unconfined" } }),
    "privileged: false": secured({ privileged: false, allowPrivilegeEscalation: true, readOnlyRootFilesystem: false }),
  };
  test.each(Object.entries(table))("%s", (_name, { refused, ignored }) => {
    expect([...refused, ...ignored]).toEqual([]);
  });
});

test("ignored and named are fields that only take something away that this node has not", () => {
  const { refused, ignored } = verdict({
    shareProcessNamespace: true,
    hostAliases: [{ ip: "10.0.0.1" }],
    dnsConfig: {},
    securityContext: { seccompProfile: { type: "RuntimeDefault" } },
    containers: [
      {
        name: "c",
        resources: { limits: { cpu: "1" } },
        securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
      },
    ],
  });
  expect(refused).toEqual([]);
  expect(ignored).toEqual([
    "spec.shareProcessNamespace",
    "spec.hostAliases",
    "spec.dnsConfig",
    "spec.containers[c].securityContext.readOnlyRootFilesystem",
    "spec.containers[c].securityContext.seccompProfile",
    "spec.containers[c].resources.limits",
  ]);
});

test("a mount that can be written though it should not be is named; one of a ConfigMap is never written", () => {
  const volumes = [
    { name: "config", configMap: { name: "c" } },
    { name: "scratch", emptyDir: {} },
  ];
  const volumeMounts = volumes.map(({ name }) => ({ name, mountPath: name, readOnly: true }));
  const spec = { volumes, containers: [{ name: "c", volumeMounts }] };
  expect(verdict(spec).ignored).toEqual(["spec.containers[c].volumeMounts[scratch].readOnly"]);
  expect(verdict(spec, user, new Set(["readOnlyMounts"])).ignored).toEqual([]);
});

test("a runtime that sees to them makes fields have their effect", () => {
  const features = ["processNamespace", "hostAliases", "limits", "readOnlyRootFilesystem", "securityProfiles"] as const;
  const { refused, ignored } = verdict(
    {
      shareProcessNamespace: true,
      hostAliases: [{ ip: "10.0.0.1" }],
      securityContext: { seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        { name: "c", resources: { limits: { cpu: "1" } }, securityContext: { readOnlyRootFilesystem: true } },
      ],
    },
    user,
    new Set(features),
  );
  expect([...refused, ...ignored]).toEqual([]);
});
