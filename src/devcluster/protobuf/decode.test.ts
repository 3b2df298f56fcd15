import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { field } from "../openapi/protobuf.ts";
import { decodeProtobuf, ProtobufError } from "./decode.ts";

const text = (number: number, value: string) => field(number, value);
const pack = (...parts: Buffer[]) => Buffer.concat(parts);

function envelope(apiVersion: string, kind: string, message: Buffer): Buffer {
  return pack(Buffer.from("k8s\0", "latin1"), field(1, pack(text(1, apiVersion), text(2, kind))), field(2, message));
}

const entry = (number: number, key: string, value: string) => field(number, pack(text(1, key), text(2, value)));

describe("an object in protobuf", () => {
  it("is what JSON would have been", () => {
    const seconds = Buffer.from([0x08, 0x01]);
    const metadata = pack(
      text(1, "a"),
      text(2, ""),
      field(8, seconds),
      entry(11, "app", "web"),
      text(14, "x"),
      text(14, "y"),
    );
    const message = pack(field(1, metadata), entry(2, "k", "v"), entry(3, "b", "\u0001"), Buffer.from([0x20, 0x01]));
    expect(decodeProtobuf(envelope("v1", "ConfigMap", message))).toEqual({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: "a",
        creationTimestamp: "1970-01-01T00:00:01Z",
        labels: { app: "web" },
        finalizers: ["x", "y"],
      },
      data: { k: "v" },
      binaryData: { b: "AQ==" },
      immutable: true,
    });
  });

  it("has what Go inlines at the place where JSON has it", () => {
    const source = field(19, pack(field(1, text(1, "settings"))));
    const volume = pack(text(1, "v"), field(2, source));
    const message = field(2, field(1, volume));
    expect(decodeProtobuf(envelope("v1", "Pod", message))).toMatchObject({
      spec: { volumes: [{ name: "v", configMap: { name: "settings" } }] },
    });
  });

  it("is refused where the kind is not known, or it is something else", () => {
    expect(() => decodeProtobuf(envelope("x/v1", "Dragon", Buffer.alloc(0)))).toThrow(ProtobufError);
    expect(() => decodeProtobuf(Buffer.from("{}"))).toThrow(ProtobufError);
  });

  it("is read or refused, whatever its bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeProtobuf(envelope("v1", "Pod", Buffer.from(bytes)));
        } catch (error) {
          expect(error).toBeInstanceOf(ProtobufError);
        }
      }),
    );
  });
});
