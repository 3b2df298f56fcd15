import type { X509Certificate } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { checkKey, parseCertificates } from "../../kube/pem.ts";
import type { KeyPair } from "../../pki/authority.ts";

/** A certificate and its key, in one file as kubelets keep them: both change at once, or not at all. */
export interface Pair extends KeyPair {
  notBefore: number;
  notAfter: number;
  certificate: X509Certificate;
}

const certificateBlocks = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n?/g;
const keyBlock = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[\s\S]*?-----END (?:[A-Z]+ )?PRIVATE KEY-----\n?/;

/** @throws {Error} they can't be used together */
export function pairOf({ cert, key }: KeyPair): Pair {
  const [certificate] = parseCertificates(cert);
  checkKey(key, certificate);
  return {
    cert,
    key,
    certificate,
    notBefore: Date.parse(certificate.validFrom),
    notAfter: Date.parse(certificate.validTo),
  };
}

/** Undefined where there is none that can be used. */
export function readPair(file: string): Pair | undefined {
  try {
    const text = readFileSync(file, "utf8");
    return pairOf({ cert: text.match(certificateBlocks)?.join("") ?? "", key: keyBlock.exec(text)?.[0] ?? "" });
  } catch {
    return undefined;
  }
}

/** Makes the directory, too, for its owner alone. */
export function writePair(file: string, { cert, key }: KeyPair): void {
  const dir = dirname(file);
  if (mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(dir, 0o700);
  const next = `${file}.next`;
  rmSync(next, { force: true });
  writeFileSync(next, `${cert.trimEnd()}\n${key.trimEnd()}\n`, { mode: 0o600, flag: "wx" });
  renameSync(next, file);
}
