import { createPrivateKey, X509Certificate } from "node:crypto";

const certificate = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/**
 * The certificates of a PEM text, in order. Node's TLS takes a text without any for an empty list, and says nothing.
 * @throws {Error} there is none, or one can't be parsed
 */
export function parseCertificates(pem: string): [X509Certificate, ...X509Certificate[]] {
  const [first, ...rest] = [...pem.matchAll(certificate)].map(([text]) => new X509Certificate(text));
  if (!first) throw new Error("it holds no PEM certificate");
  return [first, ...rest];
}

/** @throws {Error} the key can't be parsed, or is not the certificate's */
export function checkKey(pem: string, owner: X509Certificate): void {
  if (!owner.checkPrivateKey(createPrivateKey(pem))) throw new Error("it is not the key of the client certificate");
}

/** @param now milliseconds since the epoch; @throws {Error} the certificate's time is over */
export function checkTime(owner: X509Certificate, now: number): void {
  if (Date.parse(owner.validTo) < now) {
    throw new Error(`it expired at ${owner.validTo} (by this host's clock it is ${new Date(now).toUTCString()})`);
  }
}
