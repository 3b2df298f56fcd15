import { describe, expect, test } from "vitest";
import type { Container, PodSpec } from "../../kube/types.ts";
import type { AgentRights } from "./agentRights.ts";
import type { HostUser } from "./hostUsers.ts";
import { checkNonRoot, demandedSecurity, resolveSecurity } from "./resolve.ts";

const root: AgentRights = {
  uid: 0,
  gid: 0,
  groups: [4],
  capabilities: new Set(["CHOWN", "SETGID", "SETUID", "SETPCAP"]),
  selinux: false,
};
const user: AgentRights = { uid: 1000, gid: 100, groups: [5000], capabilities: new Set(), selinux: false };
const alice: HostUser = { name: "alice", uid: 7, gid: 70, home: "/home/alice", shell: "/bin/sh", groups: [70, 71] };

type Case = {
  pod?: PodSpec["securityContext"];
  own?: Container["securityContext"];
  rights?: AgentRights;
  ownGroups?: number[];
};

const container = (own: Container["securityContext"] = {}): Container => ({ name: "c", securityContext: own });
const resolve = ({ pod = {}, own = {}, rights = root, ownGroups = [] }: Case) =>
  resolveSecurity(
    { spec: { securityContext: pod, containers: [] } },
    container(own),
    rights,
    ownGroups,
    async (uid) => (uid === 7 ? alice : undefined),
    new AbortController().signal,
  );

describe("a container runs as", () => {
  const table: Record<string, [Case, Awaited<ReturnType<typeof resolve>>["security"]]> = {
    "the agent, where nothing is asked": [{}, undefined],
    "the agent, where that is asked": [{ pod: { runAsUser: 0, runAsGroup: 0 } }, undefined],
    "a user of the host, with its groups": [{ pod: { runAsUser: 7 } }, { uid: 7, gid: 70, groups: [71] }],
    "a user of the host, with those named alone under Strict": [
      { pod: { runAsUser: 7, supplementalGroups: [9], supplementalGroupsPolicy: "Strict" } },
      { uid: 7, gid: 70, groups: [9] },
    ],
    "a user whom the host does not know, in nobody's group": [
      { pod: { runAsUser: 8 } },
      { uid: 8, gid: 65534, groups: [] },
    ],
    "the container's user rather than the pod's": [
      { pod: { runAsUser: 8, runAsGroup: 80 }, own: { runAsUser: 7, runAsGroup: 90 } },
      { uid: 7, gid: 90, groups: [70, 71] },
    ],
    "a member of fsGroup and of the pod's own group": [
      { pod: { runAsUser: 8, fsGroup: 60 }, ownGroups: [1_900_000_000] },
      { uid: 8, gid: 65534, groups: [60, 1_900_000_000] },
    ],
    "the agent with more groups": [{ pod: { supplementalGroups: [9] } }, { groups: [4, 9] }],
    "the agent with none but those named": [
      { pod: { supplementalGroups: [], supplementalGroupsPolicy: "Strict" } },
      { groups: [] },
    ],
    "an ordinary agent, which is in the group already": [
      { rights: user, pod: { supplementalGroups: [5000], fsGroup: 100 } },
      undefined,
    ],
    "root with few capabilities": [
      { own: { capabilities: { drop: ["ALL"], add: ["CAP_CHOWN"] } } },
      { capabilities: { drop: ["ALL"], add: ["CHOWN"] } },
    ],
    "root with all capabilities that the agent has": [
      { own: { capabilities: { add: ["ALL"] } } },
      { capabilities: { drop: [], add: ["CHOWN", "SETGID", "SETUID", "SETPCAP"] } },
    ],
    "an ordinary agent that can't win back what was dropped": [
      { rights: user, own: { capabilities: { drop: ["NET_RAW"] } } },
      { noNewPrivileges: true },
    ],
    "one who gains nothing by an execve": [{ own: { allowPrivilegeEscalation: false } }, { noNewPrivileges: true }],
    "a privileged one": [{ own: { privileged: true } }, { privileged: true }],
  };
  test.each(Object.entries(table))("%s", async (_name, [given, security]) => {
    expect((await resolve(given)).security).toEqual(security);
  });
});

test("another user is told apart from the agent's own", async () => {
  expect((await resolve({ pod: { runAsUser: 7 } })).user).toMatchObject({ uid: 7, gid: 70, host: { name: "alice" } });
  expect((await resolve({ pod: { runAsUser: 0, runAsGroup: 3 } })).user).toBeUndefined();
});

describe("runAsNonRoot", () => {
  const check = (own: Container["securityContext"], agent: string) => () =>
    checkNonRoot(
      { metadata: { name: "p", namespace: "n", uid: "u" }, spec: { containers: [] } },
      container(own),
      agent,
    );
  test.each<[string, Container["securityContext"], string, RegExp]>([
    [
      "refuses user 0",
      { runAsNonRoot: true, runAsUser: 0 },
      "1000",
      /runAsUser breaks non-root policy \(pod: "p_n\(u\)", container: c\)/,
    ],
    ["refuses an agent that is root", { runAsNonRoot: true }, "0", /has runAsNonRoot and it would run as root/],
    ["refuses an image's user whose number is not told", { runAsNonRoot: true }, "app", /non-numeric user \(app\)/],
  ])("%s", (_name, own, agent, message) => {
    expect(check(own, agent)).toThrow(message);
  });
  test.each<[string, Container["securityContext"], string]>([
    ["lets an image's user pass", { runAsNonRoot: true }, "1000:1000"],
    ["lets another user pass", { runAsNonRoot: true, runAsUser: 5 }, "0"],
    ["lets an ordinary agent pass", { runAsNonRoot: true }, "1000"],
    ["false asks nothing", { runAsNonRoot: false }, "0"],
  ])("%s", (_name, own, agent) => {
    expect(check(own, agent)).not.toThrow();
  });
});

test("a runtime that sees to users itself gets what was asked, and nothing of the host", () => {
  const pod = { spec: { containers: [], securityContext: { runAsUser: 7, supplementalGroups: [9], fsGroup: 9 } } };
  expect(demandedSecurity(pod, container({ capabilities: { drop: ["ALL"] }, readOnlyRootFilesystem: true }))).toEqual({
    uid: 7,
    groups: [9],
    capabilities: { add: [], drop: ["ALL"] },
    readOnlyRootFilesystem: true,
  });
  expect(demandedSecurity({ spec: { containers: [] } }, container())).toBeUndefined();
});
