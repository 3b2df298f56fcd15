import type { Stored } from "../objects.ts";
import type { ResourceType } from "../resources.ts";
import { matchesLabels, parseFieldSelector, parseLabelSelector } from "../store/selectors.ts";

/** Which objects a list or a watch is about. */
export interface Selection {
  namespace: string | undefined;
  matches: (object: Stored) => boolean;
  /** Everything of the namespace: no selector was given. */
  all: boolean;
}

/** @throws {StatusError} 400 */
export function selection(
  resource: ResourceType,
  namespace: string | undefined,
  name: string | undefined,
  query: URLSearchParams,
): Selection {
  const labels = parseLabelSelector(query.get("labelSelector") ?? "");
  const terms = parseFieldSelector(query.get("fieldSelector") ?? "", resource.fields);
  if (name !== undefined) terms.push({ field: "metadata.name", negated: false, value: name });
  const fields = terms.map((term) => ({ ...term, read: resource.fields[term.field] ?? (() => "") }));
  return {
    namespace,
    all: labels.length === 0 && fields.length === 0,
    matches: (object) =>
      (namespace === undefined || object.metadata.namespace === namespace) &&
      fields.every(({ read, value, negated }) => (read(object) === value) !== negated) &&
      (labels.length === 0 || matchesLabels(labels, object.metadata.labels)),
  };
}
