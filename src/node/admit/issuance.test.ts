import { expect, test } from "vitest";
import type { CertificateSigningRequest, CertificateSigningRequestStatus } from "../../kube/types.ts";
import { approved, type Issuance, issuanceOf, overdueMessage } from "./issuance.ts";

const csr = (status?: CertificateSigningRequestStatus): CertificateSigningRequest => ({
  spec: { request: "", signerName: "s" },
  ...(status ? { status } : {}),
});
const condition = (type: string, fields = {}) => ({ type, status: "True", ...fields });

test.each<[string, CertificateSigningRequestStatus | undefined, Issuance]>([
  ["new is unapproved", undefined, { state: "unapproved" }],
  ["approved waits", { conditions: [condition("Approved")] }, { state: "waiting" }],
  [
    "with an approval that is False is unapproved",
    { conditions: [condition("Approved", { status: "False" })] },
    { state: "unapproved" },
  ],
  [
    "with a certificate is issued",
    { conditions: [condition("Approved")], certificate: "UEVN" },
    { state: "issued", certificate: "PEM" },
  ],
  [
    "denied says why",
    { conditions: [condition("Denied", { reason: "No", message: "not you" })] },
    { state: "denied", message: "No: not you" },
  ],
  [
    "that failed is no longer waited for",
    { conditions: [condition("Approved"), condition("Failed", { reason: "SignerValidationFailure" })] },
    { state: "failed", message: "SignerValidationFailure" },
  ],
])("a request %s", (_, status, expected) => {
  expect(issuanceOf(csr(status))).toEqual(expected);
});

test("an approval is added to what is there", () => {
  const before = csr({ conditions: [condition("Other")] });
  const after = approved(before, Date.UTC(2026, 10, 20));
  expect(after.status?.conditions).toMatchObject([
    { type: "Other" },
    { type: "Approved", status: "True", reason: "HostletAdmit", lastUpdateTime: "2026-11-20T00:00:00Z" },
  ]);
  expect(issuanceOf(after)).toEqual({ state: "waiting" });
  expect(before.status?.conditions).toHaveLength(1);
});

test("a certificate that does not come names what to check", () => {
  expect(overdueMessage("csr-1", "kubernetes.io/kubelet-serving", "waiting", 60)).toMatch(
    /csr-1 .* 60 s although it is approved: nothing signs for kubernetes.io\/kubelet-serving.*--cluster-signing-cert-file/,
  );
  expect(overdueMessage("csr-1", "s", "unapproved", 60)).toContain("kubectl describe csr csr-1");
});
