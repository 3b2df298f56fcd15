import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { unixPath } from "./address.ts";
import { encodeMessage, type Message, MessageParser } from "./message.ts";
import { parseSignature } from "./signature.ts";
import { type DBusValue, decodeBody, encodeBody } from "./wire.ts";

const text = fc.string({ unit: "binary", maxLength: 20 }).filter((s) => !s.includes("\0"));
/** A type with values of it. */
const typed: fc.Arbitrary<{ signature: string; value: fc.Arbitrary<DBusValue> }> = fc.letrec<{
  one: { signature: string; value: fc.Arbitrary<DBusValue> };
}>((tie) => ({
  one: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<{ signature: string; value: fc.Arbitrary<DBusValue> }>(
      { signature: "y", value: fc.nat(255) },
      { signature: "b", value: fc.boolean() },
      { signature: "n", value: fc.integer({ min: -32768, max: 32767 }) },
      { signature: "q", value: fc.nat(65535) },
      { signature: "i", value: fc.integer() },
      { signature: "u", value: fc.nat(0xffffffff) },
      { signature: "x", value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) },
      { signature: "t", value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
      { signature: "d", value: fc.double({ noNaN: true }) },
      { signature: "s", value: text },
    ),
    tie("one").map(({ signature, value }) => ({
      signature: signature === "y" ? "ai" : `a${signature}`,
      value: fc.array(signature === "y" ? fc.integer() : value, { maxLength: 4 }),
    })),
    fc.tuple(tie("one"), tie("one")).map(([a, b]) => ({
      signature: `(${a.signature}${b.signature})`,
      value: fc.tuple(a.value, b.value) as fc.Arbitrary<DBusValue>,
    })),
    tie("one").map(({ signature, value }) => ({
      signature: "v",
      value: value.map((inner) => ({ signature, value: inner })),
    })),
  ),
})).one;
const body = fc
  .array(typed, { maxLength: 4 })
  .chain((types) =>
    fc.tuple(
      fc.constant(types.map(({ signature }) => signature).join("")),
      fc.tuple(...types.map(({ value }) => value)),
    ),
  );

describe("values", () => {
  test("come back as they were", () => {
    fc.assert(
      fc.property(body, ([signature, values]) => {
        expect(decodeBody(signature, encodeBody(signature, values))).toEqual(values);
      }),
    );
  });

  test("are laid out as the specification's examples have them", () => {
    expect(encodeBody("yu", [1, 2]).toString("hex")).toBe("0100000002000000");
    expect(encodeBody("s", ["foo"]).toString("hex")).toBe("03000000666f6f00");
    expect(encodeBody("ax", [[5n]]).toString("hex")).toBe("08000000000000000500000000000000");
    expect(encodeBody("v", [{ signature: "u", value: 7 }]).toString("hex")).toBe("0175000007000000");
  });

  test("of an array of bytes are a Buffer", () => {
    expect(decodeBody("ay", encodeBody("ay", [Buffer.from("abc")]))).toEqual([Buffer.from("abc")]);
  });

  test.each<[string, DBusValue[]]>([
    ["s", [1]],
    ["t", [1]],
    ["s", ["a\0b"]],
    ["(su)", [["a"]]],
    ["u", []],
    ["a{s}", [[]]],
  ])("that are not what signature %s says are refused", (signature, values) => {
    expect(() => encodeBody(signature, values)).toThrow(TypeError);
  });

  test("that end too early, or are anything at all, throw no other error", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.constantFrom("s", "as", "a(sv)", "v", "ta{sv}"),
        (bytes, signature) => {
          try {
            decodeBody(signature, Buffer.from(bytes));
          } catch (error) {
            expect(error).toBeInstanceOf(TypeError);
          }
        },
      ),
    );
  });
});

test("signatures that are none are refused, however deep", () => {
  for (const bad of ["(", "()", "a", "z", "{sv}x)", "a{vss}", "(s", "a".repeat(100)]) {
    expect(() => parseSignature(bad)).toThrow(TypeError);
  }
});

describe("messages", () => {
  const message = fc.record({
    kind: fc.constantFrom("call", "return", "error", "signal") as fc.Arbitrary<Message["kind"]>,
    serial: fc.integer({ min: 1, max: 1_000_000 }),
    path: fc.constant("/a/b"),
    member: fc.constant("Member"),
    replyTo: fc.integer({ min: 1, max: 100 }),
  });

  test("come out whole, however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(message, body), { maxLength: 5 }),
        fc.integer({ min: 1, max: 50 }),
        (list, size) => {
          const sent = list.map(([head, [signature, values]]) =>
            signature === "" ? head : { ...head, signature, body: values as DBusValue[] },
          );
          const bytes = Buffer.concat(sent.map(encodeMessage));
          const parser = new MessageParser();
          const found: Message[] = [];
          for (let at = 0; at < bytes.length; at += size) found.push(...parser.push(bytes.subarray(at, at + size)));
          expect(found).toEqual(sent);
        },
      ),
    );
  });

  test("that are none are refused", () => {
    expect(() => new MessageParser().push(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"))).toThrow("no D-Bus message");
  });
});

test.each([
  ["unix:path=/run/bus,guid=12", "/run/bus"],
  ["tcp:host=x;unix:path=/a%20b", "/a b"],
  ["unix:abstract=/x", undefined],
  ["", undefined],
])("address %s", (address, path) => {
  expect(unixPath(address)).toBe(path);
});
