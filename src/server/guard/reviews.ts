import type { KubeClient } from "../../kube/client.ts";
import { resourcePath } from "../../kube/paths.ts";
import type { User } from "../route.ts";
import type { Attributes } from "./attributes.ts";

/** What only the cluster knows. Both throw where it can't be asked. */
export interface Reviews {
  /** Undefined: the token is nobody's. */
  token(token: string): Promise<User | undefined>;
  /** Whether the user may do that on this node. */
  access(user: User, attributes: Attributes): Promise<boolean>;
}

interface TokenReview {
  spec: { token: string };
  status?: {
    authenticated?: boolean;
    user?: { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
  };
}

interface SubjectAccessReview {
  spec: {
    user: string;
    uid?: string;
    groups: readonly string[];
    extra?: User["extra"];
    resourceAttributes: { verb: string; version: "v1"; resource: "nodes"; subresource: string; name: string };
  };
  status?: { allowed: boolean };
}

/** Somebody waits for the answer: an API server that is away must not hold them longer than they would wait. */
const timeoutMs = 10_000;
const kind = (group: string, resource: string) => resourcePath({ group, resource });
const tokenReviews = kind("authentication.k8s.io", "tokenreviews");
const accessReviews = kind("authorization.k8s.io", "subjectaccessreviews");

/** Asks the API server. A node's identity may create both kinds of review; a ServiceAccount needs deploy/rbac.yaml. */
export function apiReviews(client: KubeClient, nodeName: string): Reviews {
  return {
    async token(token) {
      const review = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token } };
      const { status } = await client.create<TokenReview>(tokenReviews, review, { timeoutMs });
      const username = status?.user?.username;
      if (!status?.authenticated || !username) return undefined;
      const { uid, groups = [], extra } = status.user ?? {};
      return { username, groups, ...(uid && { uid }), ...(extra && { extra }) };
    },
    async access({ username, uid, groups, extra }, { verb, subresource }) {
      const resourceAttributes = { verb, version: "v1", resource: "nodes", subresource, name: nodeName } as const;
      const spec = { user: username, groups, resourceAttributes, ...(uid && { uid }), ...(extra && { extra }) };
      const review = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
      const { status } = await client.create<SubjectAccessReview>(accessReviews, review, { timeoutMs });
      return status?.allowed === true;
    },
  };
}
