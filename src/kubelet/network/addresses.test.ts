import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Addresses, formatAddress, parseNetwork } from "./addresses.ts";

describe("a network", () => {
  it.each([
    ["10.88.0.0/16", "10.88.0.0", "10.88.255.255"],
    ["10.88.3.77/24", "10.88.3.0", "10.88.3.255"],
    ["192.168.255.252/30", "192.168.255.252", "192.168.255.255"],
  ])("%s is from %s to %s", (cidr, first, last) => {
    const network = parseNetwork(cidr)!;
    expect([formatAddress(network.first), formatAddress(network.last)]).toEqual([first, last]);
  });
  it.each(["", "10.0.0.0", "10.0.0.0/31", "10.0.0.0/7", "10.0.0.256/24", "a.b.c.d/16", "::/64"])(
    "%j is none",
    (cidr) => {
      expect(parseNetwork(cidr)).toBeUndefined();
    },
  );
});

describe("addresses of pods", () => {
  let dir: string;
  let file: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "hostlet-addresses-"));
    file = join(dir, "addresses.json");
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const open = (cidr: string) => new Addresses(parseNetwork(cidr)!, file);

  it("begin behind the host's, stay with their pods, and are known to the next agent", () => {
    const addresses = open("10.1.2.0/24");
    expect(addresses.gateway).toBe("10.1.2.1");
    expect([addresses.of("a"), addresses.of("b"), addresses.of("a")]).toEqual(["10.1.2.2", "10.1.2.3", "10.1.2.2"]);
    expect([open("10.1.2.0/24").of("b"), open("10.1.2.0/24").of("c")]).toEqual(["10.1.2.3", "10.1.2.4"]);
  });

  it("that were given back are given out again when no other is left", () => {
    const addresses = open("10.1.2.0/29");
    for (const uid of "abcde") addresses.of(uid);
    expect(() => addresses.of("f")).toThrow(/given out/);
    addresses.release("b");
    expect(addresses.of("f")).toBe("10.1.2.3");
  });

  it("of another network, or of a damaged file, count for nothing", () => {
    open("10.1.2.0/24").of("a");
    expect(open("10.9.0.0/16").of("a")).toBe("10.9.0.2");
    writeFileSync(file, "{");
    expect(open("10.1.2.0/24").of("x")).toBe("10.1.2.2");
  });
});
