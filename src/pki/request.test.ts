import { spawnSync } from "node:child_process";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createRequest } from "./request.ts";

/** What openssl says on both outputs: it tells there whether the signature holds, and exits with 0 either way. */
function openssl(input: string, ...args: string[]): string {
  const { stdout, stderr } = spawnSync("openssl", ["req", "-noout", ...args], { input, encoding: "utf8" });
  return stderr + stdout;
}

describe("a certificate request, as openssl reads it,", () => {
  test("is signed by its own key, and holds subject and names", () => {
    const names = ["n1", "n1.example.org", "10.1.2.3", "fd00::1"];
    const { csr } = createRequest({ commonName: "system:node:n1", organizations: ["system:nodes"], names });
    const text = openssl(csr, "-verify", "-text");
    expect(text).toContain("self-signature verify OK");
    expect(text).toContain("Subject: O = system:nodes, CN = system:node:n1");
    expect(text).toContain("ASN1 OID: prime256v1");
    expect(text).toContain("Signature Algorithm: ecdsa-with-SHA256");
    expect(text).toContain("DNS:n1, DNS:n1.example.org, IP Address:10.1.2.3, IP Address:FD00:0:0:0:0:0:0:1");
  });

  test("asks for no names where none are given: kube-apiserver-client-kubelet refuses them", () => {
    const { csr } = createRequest({ commonName: "system:node:n1", organizations: ["system:nodes"] });
    expect(openssl(csr, "-verify", "-text")).not.toContain("Alternative Name");
  });

  test("is for the key that comes with it", () => {
    const { csr, key } = createRequest({ commonName: "c" });
    const own = createPublicKey(createPrivateKey(key)).export({ type: "spki", format: "pem" });
    expect(openssl(csr, "-pubkey")).toContain(own);
  });

  test("that was changed is not verified", () => {
    const { csr } = createRequest({ commonName: "system:node:n1" });
    const der = Buffer.from(csr.replace(/-----[^-]+-----/g, ""), "base64");
    const at = der.indexOf("node:n1");
    der.write("node:n2", at);
    const changed = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64").replace(/(.{64})/g, "$1\n")}\n-----END CERTIFICATE REQUEST-----\n`;
    expect(openssl(changed, "-verify")).toContain("verify failure");
  });
});
