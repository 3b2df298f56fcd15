import type { User } from "../auth.ts";
import type { Exchange } from "../http/exchange.ts";
import { isObject } from "../objects.ts";
import type { Api } from "../rest/api.ts";
import { readBody } from "../rest/body.ts";
import { badRequest, methodNotAllowed } from "../status.ts";
import { type Review, reviews } from "./reviews.ts";

const pathPattern = /^\/apis\/([^/]+)\/v1(?:\/namespaces\/([^/]+))?\/([^/]+)$/;

export interface ReviewTarget {
  review: Review;
  namespace: string | undefined;
}

/** Which review a path is about; undefined for all other paths. */
export function reviewAt(path: string): ReviewTarget | undefined {
  const [, group, namespace, plural] = pathPattern.exec(path) ?? [];
  const review = reviews.find((each) => each.group === group && each.plural === plural);
  return review && review.namespaced === (namespace !== undefined) ? { review, namespace } : undefined;
}

/** @throws {StatusError} 400, 405, 422 */
export async function answerReview(
  api: Api,
  { review, namespace }: ReviewTarget,
  exchange: Exchange,
  user: User,
): Promise<void> {
  if (exchange.method !== "POST") throw methodNotAllowed();
  const body = await readBody(exchange);
  if (!isObject(body)) throw badRequest(`a ${review.kind} is an object`);
  const spec = isObject(body.spec) ? body.spec : {};
  const { authenticateToken } = api;
  const status = review.status({ spec, user, namespace, authenticateToken });
  const metadata = { creationTimestamp: null, ...(namespace === undefined ? {} : { namespace }) };
  const answer = { kind: review.kind, apiVersion: `${review.group}/v1`, metadata, spec, status };
  exchange.send(201, JSON.stringify(answer));
}
