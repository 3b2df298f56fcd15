import type { NodeConfig } from "../../config/nodeConfig.ts";
import type { CertificateSigningRequest, Node, Taint } from "../../kube/types.ts";
import type { RequestSubject } from "../../pki/request.ts";
import { nodeObject, virtualTaint } from "../nodeObject.ts";

/** What an administrator says of a node that is to join. */
export interface Admission extends Pick<NodeConfig, "nodeName" | "nodeLabels" | "nodeTaints" | "disableTaint"> {
  /** As Go names it: amd64, arm64. Kept as it is on a Node that exists: the agent knows better. */
  architecture: string;
  /** Addresses and further DNS names that the serving certificate is to hold, beside the node's name. */
  ips: readonly string[];
  names: readonly string[];
  /** At least 600; the signer may give less. Undefined: as long as it likes. */
  expirationSeconds: number | undefined;
}

export type Purpose = "client" | "serving";

/** What a certificate is asked for with; the signers refuse anything else (pkg/apis/certificates/helpers.go). */
export interface CertificateWish {
  purpose: Purpose;
  subject: RequestSubject;
  signerName: string;
  usages: string[];
}

const architectureLabel = "kubernetes.io/arch";

/** The Node where there is none yet. */
export function admittedNode(admission: Admission): Node {
  return nodeObject(admission, admission);
}

/** @param node the Node as it stands: without `ips` of its own the certificate holds the addresses that this one has */
export function certificateWishes(admission: Admission, node: Node | undefined): Record<Purpose, CertificateWish> {
  const subject = { commonName: `system:node:${admission.nodeName}`, organizations: ["system:nodes"] };
  const names = [admission.nodeName, ...admission.names, ...servingAddresses(admission, node)];
  return {
    client: {
      purpose: "client",
      subject,
      signerName: "kubernetes.io/kube-apiserver-client-kubelet",
      usages: ["digital signature", "key encipherment", "client auth"],
    },
    serving: {
      purpose: "serving",
      subject: { ...subject, names: [...new Set(names)] },
      signerName: "kubernetes.io/kubelet-serving",
      usages: ["digital signature", "key encipherment", "server auth"],
    },
  };
}

function servingAddresses(admission: Admission, node: Node | undefined): readonly string[] {
  if (admission.ips.length > 0) return admission.ips;
  const known = node?.status?.addresses ?? [];
  return known.filter(({ type }) => type === "InternalIP" || type === "ExternalIP").map(({ address }) => address);
}

/** @param csr PEM */
export function signingRequest(
  admission: Pick<Admission, "nodeName" | "expirationSeconds">,
  wish: CertificateWish,
  csr: string,
): CertificateSigningRequest {
  const { expirationSeconds } = admission;
  return {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { generateName: `hostlet-${wish.purpose}-${admission.nodeName.slice(0, 200)}-` },
    spec: {
      request: Buffer.from(csr).toString("base64"),
      signerName: wish.signerName,
      usages: wish.usages,
      ...(expirationSeconds === undefined ? {} : { expirationSeconds }),
    },
  };
}

export interface NodeUpdate {
  /** A merge patch that holds only for this version of the Node; undefined: nothing is to be changed. */
  patch: object | undefined;
  /** What changes, for people. */
  changes: string[];
}

/** Brings a Node that exists up to date. What others have set on it stays, but for the values of our own labels and taints. */
export function nodeUpdate(existing: Node, admission: Admission): NodeUpdate {
  const changes: string[] = [];
  const has = existing.metadata?.labels ?? {};
  const labels: Record<string, string> = {};
  for (const [name, value] of Object.entries(admittedNode(admission).metadata?.labels ?? {})) {
    if (has[name] === value || (name === architectureLabel && has[name] !== undefined)) continue;
    labels[name] = value;
    changes.push(`label ${name}=${value}${has[name] === undefined ? "" : ` (was ${JSON.stringify(has[name])})`}`);
  }
  const before = existing.spec?.taints ?? [];
  const wanted = admittedNode(admission).spec?.taints ?? [];
  const taints = [
    ...before.filter((taint) => !wanted.some(sameTaint(taint)) && !(admission.disableTaint && isVirtual(taint))),
    ...wanted,
  ];
  const added = wanted.filter((taint) => !before.some((one) => sameTaint(taint)(one) && one.value === taint.value));
  const removed = before.filter((taint) => !taints.some(sameTaint(taint)));
  changes.push(...added.map((taint) => `taint ${taintText(taint)}`));
  changes.push(...removed.map((taint) => `no taint ${taintText(taint)}`));
  if (changes.length === 0) return { patch: undefined, changes };
  return {
    patch: {
      metadata: { resourceVersion: existing.metadata?.resourceVersion, labels },
      ...(added.length > 0 || removed.length > 0 ? { spec: { taints } } : {}),
    },
    changes,
  };
}

/** Key and effect make a taint the same, as for kubectl taint. */
function sameTaint(taint: Taint): (other: Taint) => boolean {
  return (other) => other.key === taint.key && other.effect === taint.effect;
}

function isVirtual(taint: Taint): boolean {
  return sameTaint(taint)(virtualTaint) && taint.value === virtualTaint.value;
}

function taintText({ key, value, effect }: Taint): string {
  return value ? `${key}=${value}:${effect}` : `${key}:${effect}`;
}

/** The objects as they would be created, for `--dry-run`; the requests' own bytes need a new key, and are left out. */
export function admissionObjects(admission: Admission): (Node | CertificateSigningRequest)[] {
  const { client, serving } = certificateWishes(admission, undefined);
  const requests = [client, serving].map((wish) => {
    const { spec, ...object } = signingRequest(admission, wish, "");
    return { ...object, spec: { ...spec, request: `<for ${describeSubject(wish.subject)}>` } };
  });
  return [admittedNode(admission), ...requests];
}

function describeSubject({ commonName, organizations = [], names = [] }: RequestSubject): string {
  const subject = [...organizations.map((name) => `O=${name}`), `CN=${commonName}`].join(",");
  return names.length > 0 ? `${subject} at ${names.join(", ")}` : subject;
}
