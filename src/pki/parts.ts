import { createHash, type KeyObject } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { boolean, implicit, octets, oid, sequence, set, tlv, utf8 } from "./der.ts";

/** What certificates and requests for them are both made of. */

const commonNameId = "2.5.4.3";
const organizationId = "2.5.4.10";
const subjectAltNameId = "2.5.29.17";

export const ecdsaWithSha256 = "1.2.840.10045.4.3.2";

export function subject(commonName: string, organizations: readonly string[]): Buffer {
  return sequence(
    ...organizations.map((text) => set(sequence(oid(organizationId), utf8(text)))),
    set(sequence(oid(commonNameId), utf8(commonName))),
  );
}

export function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return critical ? sequence(oid(id), boolean(true), octets(value)) : sequence(oid(id), octets(value));
}

/** @param names DNS names and IP addresses */
export function subjectAltNames(names: readonly string[]): Buffer {
  return extension(subjectAltNameId, false, sequence(...names.map(altName)));
}

/** GeneralName: [2] dNSName or [7] iPAddress. */
function altName(text: string): Buffer {
  if (isIPv4(text)) return implicit(7, Buffer.from(text.split(".").map(Number)));
  if (isIPv6(text)) return implicit(7, ipv6Bytes(text));
  return tlv(0x82, Buffer.from(text, "latin1"));
}

function ipv6Bytes(text: string): Buffer {
  const hextets = (part: string) => (part === "" ? [] : part.split(":").map((h) => Number.parseInt(h, 16)));
  const [head = "", tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split("::");
  const left = hextets(head);
  const right = tail === undefined ? [] : hextets(tail);
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(all.flatMap((hextet) => [hextet >> 8, hextet & 0xff]));
}

export function keyIdentifier(key: KeyObject): Buffer {
  return createHash("sha1")
    .update(key.export({ type: "spki", format: "der" }))
    .digest();
}

export function keyPem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }) as string;
}

export function pem(label: string, der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
