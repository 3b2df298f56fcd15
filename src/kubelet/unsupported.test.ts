import { describe, expect, test } from "vitest";
import type { Container, PodSpec } from "../kube/types.ts";
import { unsupportedFields } from "./unsupported.ts";

const user = { uid: 1000, gid: 100 };
const root = { uid: 0, gid: 0 };

function verdict(spec: Partial<PodSpec>, agent = user) {
  return unsupportedFields({ spec: { containers: [{ name: "c" }], ...spec } }, agent);
}
const container = (part: Partial<Container>, agent = user) => verdict({ containers: [{ name: "c", ...part }] }, agent);
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
    "not to be root, of an agent that is": [secured({ runAsNonRoot: true }, root), /runAsNonRoot/],
    "a privileged container, of root too": [secured({ privileged: true }, root), /privileged/],
    "more capabilities": [secured({ capabilities: { add: ["NET_ADMIN"] } }), /capabilities.add/],
    "fewer capabilities than root has": [secured({ capabilities: { drop: ["ALL"] } }, root), /capabilities.drop/],
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
    securityContext: { fsGroup: 7 },
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
    "spec.securityContext.fsGroup",
    "spec.hostAliases",
    "spec.dnsConfig",
    "spec.containers[c].securityContext.readOnlyRootFilesystem",
    "spec.containers[c].securityContext.allowPrivilegeEscalation",
    "spec.containers[c].resources.limits",
  ]);
});
