import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  divideUp,
  formatQuantity,
  milliQuantityOf,
  parseQuantity,
  type QuantityFormat,
  quantityOf,
  toInteger,
  toMilli,
  toNumber,
} from "./quantity.ts";

describe("the canonical form", () => {
  test.each([
    ["0", "0"],
    ["0Ki", "0"],
    ["-0", "0"],
    ["1", "1"],
    ["+1", "1"],
    [".5", "500m"],
    ["5.", "5"],
    ["0.100", "100m"],
    ["1500m", "1500m"],
    ["1000m", "1"],
    ["1000k", "1M"],
    ["1.5G", "1500M"],
    ["12e6", "12e6"],
    ["1E3", "1e3"],
    ["100e-3", "100e-3"],
    ["1e0", "1"],
    ["1E", "1E"],
    ["1024", "1024"],
    ["1024Ki", "1Mi"],
    ["1.5Gi", "1536Mi"],
    ["0.5Ki", "512"],
    ["1.5Ki", "1536"],
    ["1023Ki", "1023Ki"],
    ["0.1Mi", "104857600m"],
    ["-2Ki", "-2Ki"],
    ["0.1n", "1n"],
    ["-0.1n", "-1n"],
    ["1e-400", "1e-9"],
    ["9223372036854775807", "9223372036854775807"],
    ["9223372036854775808", "9223372036854775807"],
    ["1e400", "9223372036854775807"],
    ["-1e400", "-9223372036854775807"],
    ["0e400", "0"],
  ])("of %s is %s", (text, canonical) => {
    expect(formatQuantity(parseQuantity(text))).toBe(canonical);
  });
});

test.each([
  "",
  " 1",
  "1 ",
  "1 Ki",
  "K",
  "1K",
  "1ki",
  "1mi",
  "1e",
  "1e1.5",
  "1.2.3",
  "--1",
  ".",
  "1KiB",
  "0x10",
  "1_000",
  "NaN",
  "9".repeat(300),
])("%j is refused", (text) => {
  expect(() => parseQuantity(text)).toThrow("is no quantity");
});

test("a number from YAML is read as it stands", () => {
  expect(toNumber(parseQuantity(2))).toBe(2);
  expect(toNumber(parseQuantity(0.25))).toBe(0.25);
  expect(toNumber(parseQuantity(1e21))).toBe(2 ** 63);
});

test("whole units and thousandths are rounded up, so that a little is never nothing", () => {
  expect(toInteger(parseQuantity("1.1"))).toBe(2n);
  expect(toInteger(parseQuantity("-1.1"))).toBe(-2n);
  expect(toMilli(parseQuantity("1n"))).toBe(1n);
  expect(toMilli(parseQuantity("250m"))).toBe(250n);
  expect(formatQuantity(milliQuantityOf(2500))).toBe("2500m");
  expect(formatQuantity(quantityOf(8 * 2 ** 30, "BinarySI"))).toBe("8Gi");
});

const formats: QuantityFormat[] = ["DecimalSI", "BinarySI", "DecimalExponent"];
const limit = (2n ** 63n - 1n) * 1_000_000_000n;

test("what is written is read back as the same number", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -limit, max: limit }), fc.constantFrom(...formats), (nano, format) => {
      expect(parseQuantity(formatQuantity({ nano, format })).nano).toBe(nano);
    }),
  );
});

test("the canonical form of a canonical form is itself", () => {
  const suffix = fc.constantFrom("", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e3", "e-6", "E2");
  fc.assert(
    fc.property(fc.integer(), fc.nat(999_999), suffix, (whole, fraction, unit) => {
      const once = formatQuantity(parseQuantity(`${whole}.${fraction}${unit}`));
      expect(formatQuantity(parseQuantity(once))).toBe(once);
      expect(once).toMatch(/^-?\d+([numkMGTPE]|[KMGTPE]i|e-?\d+)?$/);
    }),
  );
});

test("a number is what JavaScript says it is", () => {
  fc.assert(
    fc.property(fc.integer(), fc.nat(999), (whole, milli) => {
      const text = `${whole}.${String(milli).padStart(3, "0")}`;
      expect(toNumber(parseQuantity(text))).toBeCloseTo(Number(text), 6);
    }),
  );
});

test("any text is either read or refused in words", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseQuantity(text);
      } catch (error) {
        expect((error as Error).message).toContain("is no quantity");
      }
    }),
  );
});

test("a division gives the least number that is enough, and its opposite below zero", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 70n }), fc.bigInt({ min: 1n, max: 2n ** 40n }), (a, b) => {
      const quotient = divideUp(a, b);
      expect(quotient * b >= a && (quotient === 0n || (quotient - 1n) * b < a)).toBe(true);
      expect(divideUp(-a, b)).toBe(-quotient);
    }),
  );
});
