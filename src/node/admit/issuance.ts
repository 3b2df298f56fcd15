import { toTime } from "../../clock.ts";
import type { CertificateSigningRequest } from "../../kube/types.ts";

/** Where a CertificateSigningRequest stands. */
export type Issuance =
  | { state: "unapproved" | "waiting" }
  /** PEM, the certificate first. */
  | { state: "issued"; certificate: string }
  | { state: "denied" | "failed"; message: string };

export function issuanceOf({ status }: CertificateSigningRequest): Issuance {
  const condition = (type: string) => status?.conditions?.find((c) => c.type === type && c.status !== "False");
  for (const [type, state] of [
    ["Denied", "denied"],
    ["Failed", "failed"],
  ] as const) {
    const found = condition(type);
    if (found) return { state, message: [found.reason, found.message].filter(Boolean).join(": ") };
  }
  if (status?.certificate) {
    return { state: "issued", certificate: Buffer.from(status.certificate, "base64").toString("utf8") };
  }
  return { state: condition("Approved") ? "waiting" : "unapproved" };
}

/** For the subresource `approval`. @param now milliseconds since the epoch */
export function approved(csr: CertificateSigningRequest, now: number): CertificateSigningRequest {
  const condition = {
    type: "Approved",
    status: "True",
    reason: "HostletAdmit",
    message: "Approved by hostlet admit, which an administrator ran",
    lastUpdateTime: toTime(now),
  };
  return { ...csr, status: { ...csr.status, conditions: [...(csr.status?.conditions ?? []), condition] } };
}

/** What to say when no certificate came; `state` is the last that was seen. */
export function overdueMessage(name: string, signerName: string, state: Issuance["state"], seconds: number): string {
  const what = `CertificateSigningRequest ${name} has no certificate after ${seconds} s`;
  if (state === "unapproved") return `${what}: its approval was taken back; see kubectl describe csr ${name}`;
  return `${what} although it is approved: nothing signs for ${signerName}. Check that kube-controller-manager runs, with the controller csrsigning and with --cluster-signing-cert-file and --cluster-signing-key-file (some managed clusters have a signer of their own instead)`;
}
