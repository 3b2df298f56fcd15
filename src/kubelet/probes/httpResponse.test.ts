import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bodyLimit, type HttpResponse, HttpResponseReader } from "./httpResponse.ts";

/** Reads `text` in pieces, then the end of the connection. */
function read(text: string | Buffer, sizes: number[] = []): HttpResponse | string {
  const reader = new HttpResponseReader();
  let rest = Buffer.from(text);
  try {
    for (const size of sizes) {
      const response = reader.push(rest.subarray(0, size));
      if (response) return response;
      rest = rest.subarray(size);
    }
    return (rest.length > 0 && reader.push(rest)) || reader.end();
  } catch (error) {
    return (error as Error).message;
  }
}

const answer = (headers: string, body = "", status = "200 OK") => `HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`;

describe("an answer", () => {
  const table: Record<string, [string, HttpResponse | string]> = {
    "without a length ends with the connection": [
      answer("A: b", "hello"),
      { status: 200, location: undefined, body: "hello" },
    ],
    "with a length ends there": [
      answer("content-LENGTH: 2", "hello"),
      { status: 200, location: undefined, body: "he" },
    ],
    "without a body ends at once": [answer("Content-Length: 0"), { status: 200, location: undefined, body: "" }],
    "204 has no body": [answer("A: b", "x", "204 No Content"), { status: 204, location: undefined, body: "" }],
    "without words after its status is one": [
      answer("Content-Length: 0", "", "503"),
      { status: 503, location: undefined, body: "" },
    ],
    "after an interim one is the one that counts": [
      `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${answer("Content-Length: 1", "y", "404 Not Found")}`,
      { status: 404, location: undefined, body: "y" },
    ],
    "tells where it leads": [
      answer("Location: /there\r\nContent-Length: 0", "", "302 Found"),
      { status: 302, location: "/there", body: "" },
    ],
    "in chunks is put together": [
      answer("Transfer-Encoding: chunked", "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
      { status: 200, location: undefined, body: "abcde" },
    ],
    "that ends before its length is none": [answer("Content-Length: 9", "hello"), "unexpected EOF"],
    "that ends within its chunks is none": [answer("Transfer-Encoding: chunked", "3\r\nab"), "unexpected EOF"],
    "with a chunk size that is none is none": [
      answer("Transfer-Encoding: chunked", "zz\r\nab"),
      "malformed chunked encoding",
    ],
    "that is not HTTP is said": ["SSH-2.0-OpenSSH_9.2\r\n", 'malformed HTTP response "SSH-2.0-OpenSSH_9.2\\r\\n"'],
    "of nothing at all is the end": ["", "EOF"],
  };
  test.each(Object.entries(table))("%s", (_name, [text, expected]) => {
    expect(read(text)).toEqual(expected);
  });

  test("with endless headers is refused", () => {
    expect(read(answer(`A: ${"x".repeat(70_000)}`).slice(0, 70_000))).toMatch(/response headers exceeded/);
  });
});

test("however an answer is cut into pieces and its body into chunks, its body's first 10 KiB are read", () => {
  const body = fc
    .uint8Array({ maxLength: bodyLimit + 2000 })
    .map((bytes) => Buffer.from(bytes.map((b) => 97 + (b % 26))));
  const sizes = fc.array(fc.integer({ min: 1, max: 4000 }), { maxLength: 20 });
  fc.assert(
    fc.property(body, sizes, sizes, fc.constantFrom("length", "chunked", "close"), (content, chunks, pieces, how) => {
      const parts: Buffer[] = [];
      let rest = content;
      for (const size of [...chunks, content.length || 1]) {
        if (rest.length === 0) break;
        parts.push(rest.subarray(0, size));
        rest = rest.subarray(size);
      }
      const headers = {
        length: `Content-Length: ${content.length}`,
        chunked: "Transfer-Encoding: chunked",
        close: "A: b",
      };
      const sent =
        how === "chunked"
          ? `${parts.map((p) => `${p.length.toString(16)}\r\n${p.toString()}\r\n`).join("")}0\r\n\r\n`
          : content.toString();
      expect(read(answer(headers[how]) + sent, pieces)).toEqual({
        status: 200,
        location: undefined,
        body: content.toString("utf8", 0, bodyLimit),
      });
    }),
  );
});

test("no bytes make the reader throw anything but an Error, or read without end", () => {
  const junk = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.string().map((text) => Buffer.from(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${text}`)),
  );
  fc.assert(
    fc.property(junk, fc.array(fc.integer({ min: 1, max: 50 })), (bytes, sizes) => {
      const result = read(bytes, sizes);
      expect(typeof result === "string" || result.status >= 200).toBe(true);
    }),
  );
});
