import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FrameParser } from "./frames.ts";
import { LogLines, lastLines } from "./logLines.ts";

const frame = (stream: "stdout" | "stderr", text: string) => ({ stream, payload: Buffer.from(text) });
const at = (second: number) => `2026-01-01T00:00:0${second}.000000000Z`;

test("entries lose their timestamps, and a long line's parts become one line with the first one's", () => {
  const entries = [
    frame("stdout", `${at(1)} long`),
    frame("stderr", `${at(2)} other\n`),
    frame("stdout", `${at(3)} er\n`),
  ];
  const all = (timestamps: boolean) => {
    const lines = new LogLines(timestamps, undefined);
    return entries.map((entry) => lines.take(entry).toString()).join("");
  };
  expect(all(false)).toBe("longother\ner\n");
  expect(all(true)).toBe(`${at(1)} long${at(2)} other\ner\n`);
});

test("what is older than asked for is left out", () => {
  const lines = new LogLines(false, at(2));
  const entries = [1, 2, 3].map((second) => frame("stdout", `${at(second)} ${second}\n`));
  expect(entries.map((entry) => lines.take(entry).toString()).join("")).toBe("2\n3\n");
});

describe("the last lines", () => {
  test.each([
    ["a\nb\nc\n", 2, "b\nc\n"],
    ["a\nb\nc", 2, "b\nc"],
    ["a\nb\n", 5, "a\nb\n"],
    ["a\n\n", 1, "\n"],
    ["a\n\n", 2, "a\n\n"],
    ["\n", 1, "\n"],
    ["a\nb\n", 0, ""],
    ["", 3, ""],
  ])("%j: %i", (text, count, expected) => {
    expect(lastLines(Buffer.from(text), count).toString()).toBe(expected);
  });

  test("are what splitting would give", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "bb", "")), fc.nat(6), (parts, count) => {
        const text = parts.map((part) => `${part}\n`).join("");
        const expected = parts.slice(Math.max(0, parts.length - count)).map((part) => `${part}\n`);
        expect(lastLines(Buffer.from(text), count).toString()).toBe(count === 0 ? "" : expected.join(""));
      }),
    );
  });
});

describe("frames", () => {
  const encode = (kind: number, payload: Uint8Array) => {
    const header = Buffer.alloc(8);
    header[0] = kind;
    header.writeUInt32BE(payload.length, 4);
    return Buffer.concat([header, payload]);
  };

  test("come out whole, however the bytes are cut", () => {
    const one = fc.record({ kind: fc.constantFrom(1, 2), payload: fc.uint8Array({ maxLength: 40 }) });
    fc.assert(
      fc.property(fc.array(one), fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(({ kind, payload }) => encode(kind, payload)));
        const parser = new FrameParser();
        const found = [];
        for (let from = 0, i = 0; from < bytes.length; i++) {
          const to = from + (cuts[i % cuts.length] ?? 1);
          found.push(...parser.push(bytes.subarray(from, to)));
          from = to;
        }
        expect(found.map(({ stream, payload }) => [stream, [...payload]])).toEqual(
          frames.map(({ kind, payload }) => [kind === 2 ? "stderr" : "stdout", [...payload]]),
        );
      }),
    );
  });

  test("that are none are refused", () => {
    expect(() => new FrameParser().push(Buffer.from("hello world"))).toThrow("not in frames");
  });
});
