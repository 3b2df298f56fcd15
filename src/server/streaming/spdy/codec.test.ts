import { constants, createDeflate, deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dictionary } from "./dictionary.ts";
import { controlFrame, dataHead, type Frame, FrameReader, flagFin } from "./frames.ts";
import { formatHeaders, HeaderReader, HeaderWriter, parseHeaders } from "./headers.ts";

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/);
const value = fc.stringMatching(/^[ -~]{0,40}$/);
const headers = fc.dictionary(name, value, { maxKeys: 8, noNullPrototype: true });

describe("headers", () => {
  it("are read from blocks of one context that were deflated, as Go's client does, and from our own", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(headers, { minLength: 1, maxLength: 4 }), async (blocks) => {
        const deflate = createDeflate({ dictionary });
        const [theirs, ours, writer] = [new HeaderReader(), new HeaderReader(), new HeaderWriter()];
        for (const block of blocks) {
          const chunks: Buffer[] = [];
          deflate.removeAllListeners("data").on("data", (chunk) => chunks.push(chunk));
          deflate.write(formatHeaders(block));
          await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve));
          const expected = Object.entries(block);
          expect([...(await theirs.read(Buffer.concat(chunks)))]).toEqual(expected);
          expect([...(await ours.read(writer.write(block)))]).toEqual(expected);
        }
        theirs.close();
        ours.close();
      }),
      { numRuns: 50 },
    );
  });

  it("that are none are refused, whatever they are", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const reader = new HeaderReader();
        // Random bytes may be headers by chance; it must end, in one way or the other.
        await reader.read(Buffer.from(bytes)).catch((error) => expect(error).toBeInstanceOf(Error));
        reader.close();
        try {
          parseHeaders(Buffer.from(bytes));
        } catch (error) {
          expect((error as Error).message).toMatch(/header block/);
        }
      }),
    );
  });

  it("of a bomb are not inflated to their end, and nothing is read after it", async () => {
    const reader = new HeaderReader();
    const bomb = deflateSync(Buffer.alloc(50_000_000), { dictionary });
    expect(bomb.length).toBeLessThan(60_000);
    await expect(reader.read(bomb)).rejects.toThrow("too long");
    await expect(reader.read(Buffer.from([0]))).rejects.toThrow("too long");
  });

  it("are not more than anybody needs", () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`h${i}`, ""]));
    expect(() => parseHeaders(formatHeaders(many))).toThrow("100 headers");
  });
});

describe("frames", () => {
  const data = fc.record({ stream: fc.integer({ min: 1, max: 9 }), fin: fc.boolean(), bytes: fc.uint8Array() });
  const control = fc.record({ type: fc.integer({ min: 1, max: 12 }), flags: fc.nat(3), bytes: fc.uint8Array() });

  it("are read as they were written, in whatever pieces they come", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(data, control)), fc.array(fc.integer({ min: 1, max: 50 })), (list, sizes) => {
        let rest = Buffer.concat(
          list.map((one) =>
            "stream" in one
              ? Buffer.concat([dataHead(one.stream, one.bytes.length, one.fin ? flagFin : 0), one.bytes])
              : controlFrame(one.type, Buffer.from(one.bytes), one.flags),
          ),
        );
        const reader = new FrameReader();
        const seen: Frame[] = [];
        for (const size of sizes) {
          seen.push(...reader.push(rest.subarray(0, size)));
          rest = rest.subarray(size);
        }
        seen.push(...reader.push(rest));
        const controls = seen.filter((frame) => frame.kind === "control");
        expect(controls.map(({ type, flags, payload }) => [type, flags, [...payload]])).toEqual(
          list.flatMap((one) => ("type" in one ? [[one.type, one.flags, [...one.bytes]]] : [])),
        );
        for (const stream of [1, 2, 3, 4, 5, 6, 7, 8, 9]) {
          const pieces = seen.flatMap((frame) => (frame.kind === "data" && frame.stream === stream ? [frame] : []));
          const written = list.flatMap((one) => ("stream" in one && one.stream === stream ? [one] : []));
          expect(pieces.flatMap((piece) => [...piece.data])).toEqual(written.flatMap(({ bytes }) => [...bytes]));
          expect(pieces.filter((piece) => piece.fin)).toHaveLength(written.filter(({ fin }) => fin).length);
        }
      }),
    );
  });

  it("that are none make the reader throw, and it never holds more than a control frame", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), (chunks) => {
        const reader = new FrameReader();
        let given = 0;
        try {
          for (const chunk of chunks) {
            for (const frame of reader.push(Buffer.from(chunk))) given += frame.kind === "data" ? frame.data.length : 0;
          }
        } catch (error) {
          expect((error as Error).message).toMatch(/control frame/);
        }
        expect(given).toBeLessThanOrEqual(chunks.reduce((sum, { length }) => sum + length, 0));
      }),
    );
    const tooLong = Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff]);
    expect(() => [...new FrameReader().push(tooLong)]).toThrow("16777215 bytes");
  });
});
