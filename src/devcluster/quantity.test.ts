import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalQuantity, quantityNano } from "./quantity.ts";

describe("a quantity", () => {
  it.each([
    ["0.5", "500m"],
    ["1.5Gi", "1536Mi"],
    ["1000m", "1"],
    ["1024Ki", "1Mi"],
    ["1Ki", "1Ki"],
    ["0.5Ki", "512"],
    ["1e3", "1e3"],
    ["1000000", "1M"],
    ["0", "0"],
    ["-0.1", "-100m"],
    ["100n", "100n"],
    [".5", "500m"],
    ["1.", "1"],
  ])("%s is given back as %s", (text, expected) => {
    expect(canonicalQuantity(text)).toBe(expected);
  });

  it.each(["", "x", "1 Gi", "1gi", "--1", "."])("%j is none", (text) => {
    expect(quantityNano(text)).toBeUndefined();
  });

  it("keeps its amount in its canonical form", () => {
    const suffix = fc.constantFrom("", "m", "k", "M", "Ki", "Mi", "Gi", "e2");
    fc.assert(
      fc.property(fc.integer({ min: -1e6, max: 1e6 }), suffix, (number, unit) => {
        const text = `${number}${unit}`;
        expect(quantityNano(canonicalQuantity(text))).toBe(quantityNano(text));
      }),
    );
  });
});
