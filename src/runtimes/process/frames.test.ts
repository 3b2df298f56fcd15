import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFrame, FrameReader, frameType } from "./frames.ts";
import { parseStreamsEnd } from "./shimStreams.ts";

const frame = fc.record({ type: fc.constantFrom(0, 1, 2, 3, 4, 5), data: fc.uint8Array({ maxLength: 300 }) });

/** What a reader makes of chunks: pieces of output joined per stream, the ends of streams, all else as it is. */
function read(chunks: Uint8Array[]) {
  const seen: [number, string][] = [];
  const reader = new FrameReader((type, data) => {
    const last = seen.at(-1);
    const text = data.toString("latin1");
    const isOutput = type === frameType.stdout || type === frameType.stderr;
    if (isOutput && data.length > 0 && last?.[0] === type && last[1] !== "") last[1] += text;
    else seen.push([type, text]);
  });
  for (const chunk of chunks) reader.push(Buffer.from(chunk));
  return seen;
}

describe("frames", () => {
  it("are read as they were written, in whatever pieces they come", () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 400 })), (frames, sizes) => {
        let rest = Buffer.concat(frames.map(({ type, data }) => encodeFrame(type, data)));
        const whole = read([rest]);
        const chunks: Buffer[] = [];
        for (const size of sizes) {
          chunks.push(rest.subarray(0, size));
          rest = rest.subarray(size);
        }
        expect(read([...chunks, rest])).toEqual(whole);
        const bytes = (type: number) => frames.filter((f) => f.type === type).flatMap((f) => [...f.data]);
        for (const type of [frameType.stdout, frameType.stderr]) {
          const got = whole.filter(([t]) => t === type).map(([, text]) => text);
          expect(Buffer.from(got.join(""), "latin1")).toEqual(Buffer.from(bytes(type)));
        }
      }),
    );
  });

  it("that are none make the reader throw rather than hold what comes", () => {
    expect(() => read([Buffer.from([3, 0xff, 0xff, 0xff, 0xff, 1])])).toThrow("frame of type 3");
  });
});

describe("how a command ended", () => {
  it.each([
    ["exited exited 3", { exitCode: 3 }],
    ["exited signaled 9\n", { exitCode: 137, signal: 9 }],
    ["exited error 2 exec /x: No such file", { exitCode: 127, message: "exec: /x: No such file" }],
    ["exited error 13 cwd /x: Permission denied", { exitCode: 128, message: "workingDir: /x: Permission denied" }],
    ["started 1 2", undefined],
    ["exited", undefined],
  ])("is in %j", (line, end) => {
    expect(parseStreamsEnd(line)).toEqual(end);
  });
});
