/** The rights on `nodes/<subresource>` that RBAC can give. */
export const rights = ["proxy", "stats", "log", "metrics", "pods", "healthz", "configz", "checkpoint"] as const;
export type Right = (typeof rights)[number];

export const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const;
export type Method = (typeof methods)[number];

export interface PathAccess {
  path: string;
  /** Any one of them opens it. */
  needs: readonly Right[];
  /** The methods that it has, and what each answers to who is let in and asks for nothing that is there. */
  answers: Partial<Record<Method, number>>;
  /** What those answer that would open a stream. @default as without */
  upgraded?: number;
}

/** Every path of the kubelet API, and one that is none. */
export const matrix: readonly PathAccess[] = [
  { path: "/healthz", needs: ["healthz", "proxy"], answers: { GET: 200 } },
  { path: "/pods", needs: ["pods", "proxy"], answers: { GET: 200 } },
  { path: "/runningpods/", needs: ["pods", "proxy"], answers: { GET: 200 } },
  { path: "/configz", needs: ["configz", "proxy"], answers: { GET: 200 } },
  { path: "/metrics", needs: ["metrics"], answers: { GET: 200 } },
  { path: "/metrics/resource", needs: ["metrics"], answers: { GET: 200 } },
  { path: "/metrics/cadvisor", needs: ["metrics"], answers: { GET: 200 } },
  { path: "/metrics/probes", needs: ["metrics"], answers: { GET: 200 } },
  { path: "/stats/summary", needs: ["stats"], answers: { GET: 200, POST: 200 } },
  { path: "/logs/", needs: ["log"], answers: { GET: 404 } },
  { path: "/checkpoint/ns/none/c", needs: ["checkpoint"], answers: { POST: 404 } },
  { path: "/containerLogs/ns/none/c", needs: ["proxy"], answers: { GET: 404 } },
  { path: "/exec/ns/none/c", needs: ["proxy"], answers: { GET: 400, POST: 400 }, upgraded: 404 },
  { path: "/attach/ns/none/c", needs: ["proxy"], answers: { GET: 400, POST: 400 }, upgraded: 404 },
  { path: "/portForward/ns/none", needs: ["proxy"], answers: { GET: 400, POST: 400 }, upgraded: 404 },
  { path: "/run/ns/none/c", needs: ["proxy"], answers: { POST: 404 } },
  { path: "/nothing", needs: ["proxy"], answers: {} },
];

/**
 * What who has these rights is answered. A method that a path does not have is asked of `proxy`, as a path that nobody knows
 * is, and is then not there.
 * @param has undefined: nobody that is known
 */
export function expectedCode(access: PathAccess, method: Method, has: readonly Right[] | undefined): number {
  if (!has) return 401;
  const answer = access.answers[method];
  const opens: readonly Right[] = answer === undefined ? ["proxy"] : access.needs;
  if (!opens.some((right) => has.includes(right))) return 403;
  return answer ?? 404;
}

/** The same, where a stream is asked for. */
export function expectedUpgrade(access: PathAccess, method: Method, has: readonly Right[] | undefined): number {
  const code = expectedCode(access, method, has);
  return code === access.answers[method] ? (access.upgraded ?? code) : code;
}
