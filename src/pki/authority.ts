import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { bits, boolean, explicit, implicit, integer, octets, oid, sequence, time } from "./der.ts";
import { ecdsaWithSha256, extension, keyIdentifier, keyPem, pem, subject, subjectAltNames } from "./parts.ts";

/** A certificate with its key, both PEM. */
export interface KeyPair {
  cert: string;
  key: string;
}

export interface LeafRequest {
  commonName: string;
  organizations?: readonly string[];
  /** DNS names and IP addresses that a server answers to. */
  names?: readonly string[];
  use: "server" | "client";
  /** Milliseconds since the epoch. */
  notBefore: number;
  notAfter: number;
}

/** ECDSA P-256 certificates; nothing else is needed, and @peculiar/x509 would cost 100 ms and 24 MB at every start. */
export interface CertificateAuthority {
  caPem: string;
  /** The CA's private key, PEM: whoever has it can be anybody. */
  keyPem: string;
  issue(request: LeafRequest): KeyPair;
}

const ids = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

const caName = "hostlet-ca";

export function createAuthority(notBefore: number, notAfter: number): CertificateAuthority {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const publicKey = createPublicKey(privateKey);
  const cert = certificate(caName, [], publicKey, publicKey, privateKey, notBefore, notAfter, [
    extension(ids.basicConstraints, true, sequence(boolean(true))),
    // keyCertSign and cRLSign
    extension(ids.keyUsage, true, bits(Buffer.from([0x06]), 1)),
  ]);
  return authority(cert, privateKey);
}

/** The authority that an earlier start made. @throws when the PEM texts aren't a certificate and a key */
export function loadAuthority(pair: KeyPair): CertificateAuthority {
  return authority(pair.cert, createPrivateKey(pair.key));
}

function authority(caPem: string, caKey: KeyObject): CertificateAuthority {
  const caPublicKey = createPublicKey(caKey);
  return {
    caPem,
    keyPem: keyPem(caKey),
    issue(request) {
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const extensions = [
        extension(ids.keyUsage, true, bits(Buffer.from([0x80]), 7)),
        extension(ids.extKeyUsage, false, sequence(oid(request.use === "server" ? ids.serverAuth : ids.clientAuth))),
        extension(ids.basicConstraints, true, sequence()),
      ];
      if (request.names?.length) extensions.push(subjectAltNames(request.names));
      const cert = certificate(
        request.commonName,
        request.organizations ?? [],
        createPublicKey(privateKey),
        caPublicKey,
        caKey,
        request.notBefore,
        request.notAfter,
        extensions,
      );
      return { cert, key: keyPem(privateKey) };
    },
  };
}

function certificate(
  commonName: string,
  organizations: readonly string[],
  subjectKey: KeyObject,
  issuerKey: KeyObject,
  signer: KeyObject,
  notBefore: number,
  notAfter: number,
  extensions: Buffer[],
): string {
  const algorithm = sequence(oid(ecdsaWithSha256));
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const tbs = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(serial),
    algorithm,
    subject(caName, []),
    sequence(time(notBefore), time(notAfter)),
    subject(commonName, organizations),
    subjectKey.export({ type: "spki", format: "der" }),
    explicit(
      3,
      sequence(
        ...extensions,
        extension(ids.subjectKeyIdentifier, false, octets(keyIdentifier(subjectKey))),
        extension(ids.authorityKeyIdentifier, false, sequence(implicit(0, keyIdentifier(issuerKey)))),
      ),
    ),
  );
  return pem("CERTIFICATE", sequence(tbs, algorithm, bits(sign("sha256", tbs, signer))));
}
