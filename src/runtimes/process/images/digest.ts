import { createHash } from "node:crypto";

/** `sha256:<64 hex digits>`; the one algorithm that registries use. */
export function isDigest(value: unknown): value is string {
  return typeof value === "string" && /^sha256:[0-9a-f]{64}$/.test(value);
}

export function digestOf(data: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

/**
 * Passes a stream on, and throws at its end where it is not what the digest says.
 * @param what names it in the message
 */
export async function* verified(
  source: AsyncIterable<Uint8Array>,
  digest: string,
  what: string,
): AsyncGenerator<Uint8Array> {
  if (!isDigest(digest)) throw new Error(`${what} has the digest ${JSON.stringify(digest)}, which is none of sha256`);
  const hash = createHash("sha256");
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  const found = `sha256:${hash.digest("hex")}`;
  if (found !== digest) throw new Error(`${what} is damaged: its digest is ${found}, not ${digest}`);
}
