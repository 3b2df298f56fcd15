import { readFileSync } from "node:fs";

/** What an API server's audit log (audit.k8s.io/v1, level Metadata) says about one request. */
export interface AuditEntry {
  auditID: string;
  stage: "RequestReceived" | "ResponseStarted" | "ResponseComplete" | "Panic";
  verb: string;
  requestURI: string;
  user: { username: string };
  userAgent?: string;
  objectRef?: { resource?: string; subresource?: string; namespace?: string; name?: string };
  responseStatus?: { code?: number; message?: string };
  annotations?: Record<string, string>;
  /** RFC 3339 with microseconds. */
  requestReceivedTimestamp: string;
}

/** The requests of one user since a time; each once, a watch that goes on among them. */
export function readAudit(file: string, username: string, since: number): AuditEntry[] {
  const requests = new Map<string, AuditEntry>();
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (!line.includes(`"${username}"`)) continue;
    const entry = JSON.parse(line) as AuditEntry;
    if (entry.user.username !== username || Date.parse(entry.requestReceivedTimestamp) < since) continue;
    requests.set(entry.auditID, entry);
  }
  return [...requests.values()];
}

const resourceOf = ({ objectRef, requestURI }: AuditEntry) =>
  objectRef?.resource
    ? [objectRef.resource, objectRef.subresource].filter(Boolean).join("/")
    : (requestURI.split("?")[0] ?? requestURI);

/** How many there are of each `verb resource/subresource`, the most frequent first. */
export function countRequests(entries: readonly AuditEntry[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const entry of entries) {
    const key = `${entry.verb} ${resourceOf(entry)}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return Object.fromEntries([...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b)));
}

/** What a node's agent may be answered 403, and why that is no fault of the agent. */
const expectedRefusals: readonly { requests: string[]; why: RegExp; because: string }[] = [
  {
    requests: [
      ...["get configmaps", "get secrets", "watch configmaps", "watch secrets", "create serviceaccounts/token"],
      ...["get persistentvolumeclaims", "get persistentvolumes"],
    ],
    why: /^no relationship found between node/,
    because: "the Node authorizer learns of a binding some milliseconds after the agent, which asks again",
  },
  {
    requests: ["create serviceaccounts/token"],
    why: /node requested token bound to a pod scheduled on a different node$/,
    because: "so does NodeRestriction, which then sees a pod without a node",
  },
];

/** Requests answered 403 that nothing explains, as `verb resource name: why`. */
export function unexplainedRefusals(entries: readonly AuditEntry[]): string[] {
  return entries
    .filter(({ responseStatus }) => responseStatus?.code === 403)
    .map((entry) => ({
      entry,
      request: `${entry.verb} ${resourceOf(entry)}`,
      // An authorizer's word; admission (NodeRestriction) has only the message, and 1.20 not even that.
      why: entry.annotations?.["authorization.k8s.io/reason"] || (entry.responseStatus?.message ?? ""),
    }))
    .filter(({ request, why }) => !expectedRefusals.some((e) => e.requests.includes(request) && e.why.test(why)))
    .map(({ entry, request, why }) => `${request} ${entry.objectRef?.name}: ${why}`);
}
