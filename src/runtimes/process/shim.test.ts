import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findPackage, findShim, verifyShim } from "./shim.ts";

describe("the shim", () => {
  let base: string;
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "hostlet-shim-"));
  });
  afterEach(() => rmSync(base, { recursive: true }));

  it("of this package is found for the architectures that it is built for", async () => {
    const { dir } = findPackage();
    expect(await findShim(base)).toBe(join(dir, "shim", "bin", `hostlet-shim-${process.arch}`));
  });

  it("is compiled once into the state directory where none is built", async () => {
    const path = await findShim(base, findPackage().dir, "sparc");
    expect(path).toMatch(/cache\/hostlet-shim-sparc-[0-9a-f]{16}$/);
    expect(await findShim(base, findPackage().dir, "sparc")).toBe(path);
    expect(readdirSync(join(base, "cache"))).toHaveLength(1);
  });

  it("that can't be compiled is an error that says what to install", async () => {
    mkdirSync(join(base, "shim"));
    writeFileSync(join(base, "shim", "shim.c"), "no C");
    await expect(findShim(base, base, "sparc")).rejects.toMatchObject({
      code: "RuntimeUnavailable",
      message: expect.stringMatching(/sparc.*install a C compiler/s),
    });
  });

  it("that is something else is refused", async () => {
    await expect(verifyShim("/bin/echo")).rejects.toMatchObject({ code: "RuntimeUnavailable" });
    await expect(verifyShim("/no/such/shim")).rejects.toMatchObject({ code: "RuntimeUnavailable" });
  });
});

describe("hostlet's package", () => {
  it("is the next directory above that has its package.json, past those of others", () => {
    const base = mkdtempSync(join(tmpdir(), "hostlet-package-"));
    mkdirSync(join(base, "a", "dist"), { recursive: true });
    writeFileSync(join(base, "package.json"), '{"name":"hostlet","version":"9.9.9"}');
    writeFileSync(join(base, "a", "package.json"), '{"name":"other","version":"1.0.0"}');
    symlinkSync(join(base, "a"), join(base, "link"));
    expect(findPackage(join(base, "a", "dist"))).toEqual({ dir: base, version: "9.9.9" });
    rmSync(base, { recursive: true });
    expect(() => findPackage(base)).toThrow(/reinstall/);
  });
});
