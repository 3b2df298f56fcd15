import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What service account tokens are signed with: ECDSA P-256. */
export interface SigningKey {
  privateKey: KeyObject;
  publicKey: KeyObject;
  /** Names the key in a token's header: the digest of the public key, as kube-apiserver has it. */
  id: string;
}

/**
 * @param dir where it is kept (0600), so that tokens outlive a restart; absent: made anew
 * @throws where the file is no private key
 */
export function openSigningKey(dir: string | undefined): SigningKey {
  const file = dir === undefined ? undefined : join(dir, "service-account.key");
  const kept = file === undefined ? undefined : readIfThere(file);
  const privateKey = kept ? createPrivateKey(kept) : generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  if (file !== undefined && kept === undefined) {
    const next = `${file}.next`;
    writeFileSync(next, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    renameSync(next, file);
  }
  const publicKey = createPublicKey(privateKey);
  const der = publicKey.export({ type: "spki", format: "der" });
  return { privateKey, publicKey, id: createHash("sha256").update(der).digest("base64url") };
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
