import { HostletError } from "../errors.ts";
import type { Pod } from "../kube/types.ts";

/** Addresses as the pod sees them; the first of each is its primary one. */
export interface PodAddresses {
  hostIPs: readonly string[];
  podIPs: readonly string[];
}

/**
 * The value of `fieldRef.fieldPath` in an environment variable.
 * @throws {HostletError} PodInvalid for a field that Kubernetes doesn't offer there
 */
export function podField(pod: Pod, fieldPath: string, addresses: PodAddresses): string {
  switch (fieldPath) {
    // `spec.host` is what clients older than Kubernetes 1.0 send.
    case "spec.nodeName":
    case "spec.host":
      return pod.spec?.nodeName ?? "";
    case "spec.serviceAccountName":
      return pod.spec?.serviceAccountName ?? "";
    case "status.hostIP":
      return addresses.hostIPs[0] ?? "";
    case "status.hostIPs":
      return addresses.hostIPs.join(",");
    case "status.podIP":
      return addresses.podIPs[0] ?? "";
    case "status.podIPs":
      return addresses.podIPs.join(",");
    default:
      return metadataField(pod, fieldPath);
  }
}

/**
 * The value of `fieldRef.fieldPath` in a volume, which is metadata and nothing else, as on the kubelet.
 * @throws {HostletError} PodInvalid for a field that Kubernetes doesn't offer there
 */
export function metadataField(pod: Pod, fieldPath: string): string {
  const { name, namespace, uid, labels, annotations } = pod.metadata ?? {};
  const subscripted = /^([^[]+)\['(.*)'\]$/s.exec(fieldPath);
  if (subscripted) {
    const [, path, key] = subscripted as unknown as [string, string, string];
    if (path !== "metadata.labels" && path !== "metadata.annotations") {
      throw new HostletError("PodInvalid", `fieldPath "${fieldPath}" does not support subscript`);
    }
    if (!qualifiedName.test(key)) throw new HostletError("PodInvalid", `invalid key subscript in ${fieldPath}`);
    const values = path === "metadata.labels" ? labels : annotations;
    return values && Object.hasOwn(values, key) ? values[key]! : "";
  }
  switch (fieldPath) {
    case "metadata.name":
      return name ?? "";
    case "metadata.namespace":
      return namespace ?? "";
    case "metadata.uid":
      return uid ?? "";
    case "metadata.labels":
      return formatMap(labels);
    case "metadata.annotations":
      return formatMap(annotations);
    default:
      throw new HostletError("PodInvalid", `unsupported fieldPath: ${fieldPath}`);
  }
}

/** `prefix/name`, as keys of labels and annotations are written; the prefix is optional. */
const qualifiedName =
  /^([a-zA-Z0-9]([-a-zA-Z0-9.]{0,251}[a-zA-Z0-9])?\/)?[a-zA-Z0-9]([-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/;

/** A line `key="value"` for each entry in the order of the keys, values quoted as Go quotes strings. */
function formatMap(values: Record<string, string> = {}): string {
  return Object.keys(values)
    .sort(byBytes)
    .map((key) => `${key}=${goQuote(values[key]!)}`)
    .join("\n");
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const shortEscapes: Record<string, string> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};

/** strconv.Quote: what is not a letter, mark, number, punctuation, symbol or ASCII space is escaped. */
function goQuote(text: string): string {
  const escaped = text.replace(/["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (character) => {
    const short = shortEscapes[character];
    if (short !== undefined) return short;
    const code = character.codePointAt(0)!;
    if (code < 0x80) return `\\x${hex(code, 2)}`;
    return code < 0x1_0000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
  });
  return `"${escaped}"`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}
