import type { BackoffOptions } from "../kube/retry.ts";

/**
 * How a node waits for an API server that is away, in its one watch of pods and its one writer of statuses: seldom enough to be
 * no burden, often enough that the cluster knows within 5 s of the server's return what happened meanwhile.
 */
export const serverAway: BackoffOptions = { maxMs: 4_000 };
