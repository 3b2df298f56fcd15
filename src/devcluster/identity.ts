import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import { HostletError } from "../errors.ts";
import { type CertificateAuthority, createAuthority, loadAuthority } from "../pki/authority.ts";

/** What makes a cluster the same one after a restart. */
export interface Identity {
  authority: CertificateAuthority;
  tokenSecret: Buffer;
}

const day = 86_400_000;
/** A clock that was a little ahead when the certificate was made must not make it invalid. */
export const backdate = 3_600_000;
export const leafLifetime = 365 * day;

interface File {
  version: 1;
  ca: string;
  key: string;
  tokenSecret: string;
}

/** @param dir where it is kept (0600); absent: made anew */
export function openIdentity(dir: string | undefined, clock: Clock): Identity {
  if (dir === undefined) return createIdentity(clock);
  const file = join(dir, "identity.json");
  const text = readIfThere(file);
  if (text !== undefined) {
    const { ca, key, tokenSecret } = JSON.parse(text) as File;
    return { authority: loadAuthority({ cert: ca, key }), tokenSecret: Buffer.from(tokenSecret, "base64") };
  }
  const identity = createIdentity(clock);
  const content: File = {
    version: 1,
    ca: identity.authority.caPem,
    key: identity.authority.keyPem,
    tokenSecret: identity.tokenSecret.toString("base64"),
  };
  const next = `${file}.next`;
  writeFileSync(next, `${JSON.stringify(content)}\n`, { mode: 0o600 });
  renameSync(next, file);
  return identity;
}

function createIdentity(clock: Clock): Identity {
  const now = clock.now();
  return { authority: createAuthority(now - backdate, now + 10 * leafLifetime), tokenSecret: randomBytes(32) };
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Makes the directory, for its owner alone. @throws {HostletError} PathNotOurs where others could read it */
export function openDirectory(dir: string): void {
  const made = mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (made !== undefined) chmodSync(dir, 0o700);
  const { mode, uid } = statSync(dir);
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0) {
    throw new HostletError(
      "PathNotOurs",
      `${dir} would hold the embedded control plane's keys, but others may read it: make it your own and run chmod 700 on it, or name another directory`,
    );
  }
}
