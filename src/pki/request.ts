import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { bits, explicit, integer, oid, sequence, set } from "./der.ts";
import { ecdsaWithSha256, keyPem, pem, subject, subjectAltNames } from "./parts.ts";

export interface RequestSubject {
  commonName: string;
  organizations?: readonly string[];
  /** DNS names and IP addresses that a server answers to. @default none */
  names?: readonly string[];
}

/** A certificate request and the private key that it is for, both PEM. */
export interface CertificateRequest {
  csr: string;
  key: string;
}

/** PKCS#9 extensionRequest (RFC 2985 5.4.2). */
const extensionRequestId = "1.2.840.113549.1.9.14";

/** A new EC P-256 key, and the PKCS#10 request (RFC 2986) that asks for its certificate. */
export function createRequest({ commonName, organizations = [], names = [] }: RequestSubject): CertificateRequest {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const attributes = names.length > 0 ? [sequence(oid(extensionRequestId), set(sequence(subjectAltNames(names))))] : [];
  const info = sequence(
    integer(Buffer.from([0])),
    subject(commonName, organizations),
    createPublicKey(privateKey).export({ type: "spki", format: "der" }),
    explicit(0, ...attributes),
  );
  const der = sequence(info, sequence(oid(ecdsaWithSha256)), bits(sign("sha256", info, privateKey)));
  return { csr: pem("CERTIFICATE REQUEST", der), key: keyPem(privateKey) };
}
