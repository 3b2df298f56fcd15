import { expect, test } from "vitest";
import { type AuditEntry, countRequests, unexplainedRefusals } from "./audit.ts";

const entry = (verb: string, resource: string, name: string, more: Partial<AuditEntry> = {}): AuditEntry => ({
  auditID: `${verb}-${resource}-${name}`,
  stage: "ResponseComplete",
  verb,
  requestURI: "/",
  user: { username: "system:node:n1" },
  objectRef: { resource, name },
  requestReceivedTimestamp: "2026-11-20T18:00:00.000000Z",
  ...more,
});
const refused = (message: string | undefined, reason?: string): Partial<AuditEntry> => ({
  responseStatus: { code: 403, ...(message && { message }) },
  ...(reason !== undefined && { annotations: { "authorization.k8s.io/reason": reason } }),
});
const lag = "no relationship found between node 'n1' and this object";

test.each<[string, AuditEntry, string[]]>([
  ["an answer that is no 403", entry("get", "secrets", "s", { responseStatus: { code: 404 } }), []],
  ["a Secret that the authorizer's graph does not show yet", entry("get", "secrets", "s", refused(undefined, lag)), []],
  ["the same for another verb", entry("list", "secrets", "s", refused("m", lag)), [`list secrets s: ${lag}`]],
  ["the same of another kind", entry("get", "pods", "p", refused("m", lag)), [`get pods p: ${lag}`]],
  [
    "what NodeRestriction says",
    entry("patch", "nodes", "n1", refused("not allowed", "")),
    ["patch nodes n1: not allowed"],
  ],
  [
    "a token of a pod that admission thinks unscheduled",
    entry("create", "serviceaccounts", "default", {
      objectRef: { resource: "serviceaccounts", subresource: "token", name: "default" },
      ...refused("forbidden: node requested token bound to a pod scheduled on a different node", ""),
    }),
    [],
  ],
  ["what nobody gives a reason for", entry("delete", "nodes", "n2", refused(undefined, "")), ["delete nodes n2: "]],
])("%s is explained or told", (_what, request, expected) => {
  expect(unexplainedRefusals([request])).toEqual(expected);
});

test("requests are counted by verb, resource and subresource, the most frequent first", () => {
  const status = { resource: "pods", subresource: "status", name: "p" };
  const entries = [
    entry("get", "secrets", "a"),
    ...["1", "2"].map((n) => entry("patch", "pods", n, { objectRef: { ...status, name: n } })),
    { ...entry("get", "", ""), objectRef: {}, requestURI: "/readyz?verbose" },
  ];
  expect(countRequests(entries)).toEqual({ "patch pods/status": 2, "get /readyz": 1, "get secrets": 1 });
});
