import fc from "fast-check";
import { expect, it } from "vitest";
import { encodeExit, encodeFrame, FrameParser } from "./frames.ts";

it("output and exit code come through whole, in whatever pieces they come", () => {
  const frame = fc.tuple(fc.constantFrom("out" as const, "err" as const), fc.uint8Array());
  fc.assert(
    fc.property(fc.array(frame), fc.nat(255), fc.integer({ min: 1, max: 9 }), (frames, code, size) => {
      const bytes = Buffer.concat([...frames.map(([kind, data]) => encodeFrame(kind, data)), encodeExit(code)]);
      const parser = new FrameParser();
      const parsed = [];
      for (let at = 0; at < bytes.length; at += size) parsed.push(...parser.push(bytes.subarray(at, at + size)));
      const expected = frames.map(([kind, data]) => ({ kind, data: Buffer.from(data) }));
      expect(parsed).toEqual([...expected, { kind: "exit", code }]);
    }),
  );
});

it("words of srun in its place are an error", () => {
  expect(() => new FrameParser().push(Buffer.from("srun: error: ..."))).toThrow(/no answer/);
});
