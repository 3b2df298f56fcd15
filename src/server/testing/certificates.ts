import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Pair {
  cert: string;
  key: string;
}

export interface TestPki {
  server: Pair;
  /** Signs the clients that the server knows. */
  ca: Pair;
  client: Pair;
  /** Signed by a CA that the server does not know, of the same name. */
  stranger: Pair;
}

/** Certificates of openssl's making, valid for a day. */
export function makePki(): TestPki {
  const dir = mkdtempSync(join(tmpdir(), "hostlet-pki-"));
  const file = (name: string) => join(dir, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "ignore", cwd: dir });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const pair = (name: string): Pair => ({
    cert: readFileSync(file(`${name}.crt`), "utf8"),
    key: readFileSync(file(`${name}.key`), "utf8"),
  });
  const selfSigned = (name: string, subject: string): Pair => {
    const names = ["-addext", "subjectAltName=IP:127.0.0.1"];
    openssl(
      "req",
      "-x509",
      ...newKey,
      "-days",
      "1",
      "-subj",
      subject,
      ...names,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.crt`,
    );
    return pair(name);
  };
  const signed = (name: string, ca: string, subject: string): Pair => {
    openssl("req", ...newKey, "-subj", subject, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    writeFileSync(file("usage"), "extendedKeyUsage=clientAuth");
    const by = ["-CA", `${ca}.crt`, "-CAkey", `${ca}.key`, "-CAcreateserial", "-extfile", "usage"];
    openssl("x509", "-req", "-in", `${name}.csr`, ...by, "-days", "1", "-out", `${name}.crt`);
    return pair(name);
  };
  try {
    const server = selfSigned("server", "/CN=node");
    const ca = selfSigned("ca", "/CN=kubelet-client-ca");
    const client = signed("client", "ca", "/O=system:masters/CN=kube-apiserver-kubelet-client");
    selfSigned("other", "/CN=kubelet-client-ca");
    const stranger = signed("stranger", "other", "/O=system:masters/CN=kube-apiserver-kubelet-client");
    return { server, ca, client, stranger };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
