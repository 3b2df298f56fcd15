import type { User } from "../auth.ts";
import { isObject, type Json } from "../objects.ts";
import { badRequest, type FieldError, invalid, invalidObject, type ResourceName } from "../status.ts";
import { apiAudience } from "../tokens/authenticator.ts";

/** What reviews are answered from. */
export interface Asked {
  spec: Json;
  /** Who asks. */
  user: User;
  /** Of the path, where it has one. */
  namespace: string | undefined;
  authenticateToken: (token: string) => User | undefined;
}

/** A kind that is never stored: it is POSTed with a question in its spec, and comes back with the answer in its status. */
export interface Review extends ResourceName {
  namespaced: boolean;
  /** @throws {StatusError} 400, 422 */
  status(asked: Asked): Json;
}

const authentication = "authentication.k8s.io";
const authorization = "authorization.k8s.io";

const everythingAllowed = "hostlet's embedded control plane has no roles: whoever is authenticated may do everything";

export const reviews: readonly Review[] = [
  {
    group: authentication,
    plural: "tokenreviews",
    kind: "TokenReview",
    namespaced: false,
    status: ({ spec, authenticateToken }) => {
      if (typeof spec.token !== "string" || spec.token === "") {
        throw badRequest("token is required for TokenReview in authentication");
      }
      const audiences = texts(spec.audiences);
      const meant = audiences.length === 0 || audiences.includes(apiAudience);
      const user = meant ? authenticateToken(spec.token) : undefined;
      if (!user) return { user: {}, error: "invalid bearer token" };
      return { authenticated: true, user, audiences: [apiAudience] };
    },
  },
  {
    group: authentication,
    plural: "selfsubjectreviews",
    kind: "SelfSubjectReview",
    namespaced: false,
    status: ({ user }) => ({ userInfo: user }),
  },
  {
    group: authorization,
    plural: "subjectaccessreviews",
    kind: "SubjectAccessReview",
    namespaced: false,
    status: ({ spec }) => decision("SubjectAccessReview", spec, subjectOf(spec)),
  },
  {
    group: authorization,
    plural: "localsubjectaccessreviews",
    kind: "LocalSubjectAccessReview",
    namespaced: true,
    status: ({ spec, namespace }) => {
      const { resourceAttributes, nonResourceAttributes } = spec;
      const errors: FieldError[] = [];
      if (isObject(resourceAttributes) && resourceAttributes.namespace !== namespace) {
        const field = "spec.resourceAttributes.namespace";
        errors.push(invalid(field, resourceAttributes.namespace ?? "", "must match metadata.namespace"));
      }
      if (nonResourceAttributes) {
        const detail = "disallowed on this kind of request";
        errors.push(invalid("spec.nonResourceAttributes", nonResourceAttributes, detail));
      }
      return decision("LocalSubjectAccessReview", spec, subjectOf(spec), errors);
    },
  },
  {
    group: authorization,
    plural: "selfsubjectaccessreviews",
    kind: "SelfSubjectAccessReview",
    namespaced: false,
    status: ({ spec, user }) => decision("SelfSubjectAccessReview", spec, user),
  },
  {
    group: authorization,
    plural: "selfsubjectrulesreviews",
    kind: "SelfSubjectRulesReview",
    namespaced: false,
    status: ({ spec }) => {
      if (typeof spec.namespace !== "string" || spec.namespace === "") throw badRequest("no namespace on request");
      return {
        incomplete: false,
        resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }],
        nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
      };
    },
  },
];

function decision(kind: string, spec: Json, subject: User | undefined, others: FieldError[] = []): Json {
  const named = [spec.resourceAttributes, spec.nonResourceAttributes].filter(isObject).length;
  const errors = [...others];
  if (named === 2) {
    const detail = "cannot be specified in combination with resourceAttributes";
    errors.push(invalid("spec.nonResourceAttributes", spec.nonResourceAttributes, detail));
  } else if (named === 0) {
    const detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
    errors.push(invalid("spec.resourceAttributes", null, detail));
  }
  if (!subject) errors.push(invalid("spec.user", "", "at least one of user or group must be specified"));
  if (errors.length > 0 || !subject) throw invalidObject({ group: authorization, plural: "", kind }, "", errors);
  const anonymous = subject.username === "system:anonymous" || subject.groups.includes("system:unauthenticated");
  return anonymous ? { allowed: false } : { allowed: true, reason: everythingAllowed };
}

function subjectOf(spec: Json): User | undefined {
  const username = typeof spec.user === "string" ? spec.user : "";
  const groups = texts(spec.groups);
  return username === "" && groups.length === 0 ? undefined : { username, groups };
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
