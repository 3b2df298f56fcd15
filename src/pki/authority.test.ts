import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAuthority, loadAuthority } from "./authority.ts";
import { integer, oid, sequence, time, utf8 } from "./der.ts";

const from = Date.parse("2026-01-01T00:00:00Z");
const until = Date.parse("2060-06-01T00:00:00Z");

describe("a certificate authority", () => {
  const authority = createAuthority(from, until);
  const ca = new X509Certificate(authority.caPem);

  it("signs itself, as a CA", () => {
    expect(ca.ca).toBe(true);
    expect(ca.verify(ca.publicKey)).toBe(true);
    expect(Date.parse(ca.validFrom)).toBe(from);
    expect(Date.parse(ca.validTo)).toBe(until);
  });

  it("issues what openssl takes for a server's certificate", () => {
    const names = ["localhost", "127.0.0.1", "::1", "fe80::1:2"];
    const { cert, key } = authority.issue({
      commonName: "server",
      names,
      use: "server",
      notBefore: from,
      notAfter: until,
    });
    const leaf = new X509Certificate(cert);
    expect(leaf.checkIssued(ca)).toBe(true);
    expect(leaf.verify(ca.publicKey)).toBe(true);
    expect(leaf.ca).toBe(false);
    expect(leaf.checkHost("localhost")).toBe("localhost");
    for (const address of names.slice(1)) expect(leaf.checkIP(address), address).toBeDefined();
    expect(leaf.checkIP("127.0.0.2")).toBeUndefined();
    expect(leaf.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
    expect(key).toContain("PRIVATE KEY");
  });

  it("writes user and groups into a client's certificate", () => {
    const request = { commonName: "system:node:ñ", organizations: ["system:nodes", "b"], use: "client" } as const;
    const leaf = new X509Certificate(authority.issue({ ...request, notBefore: from, notAfter: until }).cert);
    expect(leaf.toLegacyObject().subject).toMatchObject({ CN: "system:node:ñ", O: ["system:nodes", "b"] });
    expect(leaf.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
  });

  it("goes on after a restart", () => {
    const again = loadAuthority({ cert: authority.caPem, key: authority.keyPem });
    const { cert } = again.issue({ commonName: "x", use: "client", notBefore: from, notAfter: until });
    expect(new X509Certificate(cert).verify(ca.publicKey)).toBe(true);
  });
});

describe("DER", () => {
  it("has a length of one byte below 128, and says how many bytes above", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 70_000 }), (length) => {
        const bytes = utf8("x".repeat(length));
        const long = (bytes[1] ?? 0) & 0x80 ? (bytes[1] ?? 0) & 0x7f : 0;
        const told = long === 0 ? bytes[1] : Number.parseInt(bytes.subarray(2, 2 + long).toString("hex"), 16);
        expect(told).toBe(length);
        expect(bytes.length).toBe(2 + long + length);
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    [oid("1.2.840.10045.4.3.2"), "06082a8648ce3d040302"],
    [integer(Buffer.from([0x00, 0x80])), "02020080"],
    [integer(Buffer.from([0x00])), "020100"],
    [sequence(), "3000"],
    [time(Date.parse("2049-12-31T23:59:59Z")), `170d${Buffer.from("491231235959Z").toString("hex")}`],
    [time(Date.parse("2050-01-01T00:00:00Z")), `180f${Buffer.from("20500101000000Z").toString("hex")}`],
  ])("%# is as X.690 has it", (bytes, hex) => {
    expect(bytes.toString("hex")).toBe(hex);
  });
});
