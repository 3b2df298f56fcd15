import type { Json } from "../objects.ts";
import { messages } from "./messages.gen.ts";

/** Bytes that are no protobuf of Kubernetes' form. */
export class ProtobufError extends Error {}

const magic = Buffer.from("k8s\0", "latin1");
const meta = "k8s.io.apimachinery.pkg.apis.meta.v1";

/** Fields that are inlined in JSON: what they hold belongs to the message around them. */
const inlined = new Set(["volumeSource", "handler", "localObjectReference", "ephemeralContainerCommon"]);

/**
 * An object as typed Go clients send it (kubectl create from 1.33 on): an envelope with apiVersion and kind, and the
 * message. Go writes zero values and JSON leaves them out, so empty texts and messages are dropped.
 * @throws {ProtobufError}
 */
export function decodeProtobuf(bytes: Buffer): Json {
  if (!bytes.subarray(0, 4).equals(magic)) throw new ProtobufError("the body does not begin as protobuf of Kubernetes");
  const envelope = new Map(fieldsOf(bytes.subarray(4)).map(([number, value]) => [number, value]));
  const type = new Map(fieldsOf(bytesOf(envelope.get(1))));
  const apiVersion = bytesOf(type.get(1)).toString();
  const kind = bytesOf(type.get(2)).toString();
  return { ...message(messageName(apiVersion, kind), bytesOf(envelope.get(2))), apiVersion, kind };
}

function messageName(apiVersion: string, kind: string): string {
  const [group = "", version] = apiVersion.includes("/") ? apiVersion.split("/") : ["core", apiVersion];
  const known = [`k8s.io.api.${group.split(".")[0]}.${version}.${kind}`, `${meta}.${kind}`];
  const name = known.find((candidate) => Object.hasOwn(messages, candidate));
  if (!name) throw new ProtobufError(`no protobuf message is known for ${apiVersion} ${kind}: send JSON`);
  return name;
}

function message(name: string, bytes: Buffer): Json {
  const fields = messages[name] ?? {};
  const result: Json = {};
  for (const [number, raw] of fieldsOf(bytes)) {
    const field = fields[number];
    if (!field) continue;
    const [key, type] = field;
    const [shape = "", inner = shape] = type.split(" ");
    if (shape === "map") {
      const map = (result[key] ?? {}) as Json;
      result[key] = map;
      const entry = new Map(fieldsOf(bytesOf(raw)));
      // Defined, not assigned: a key may be called `__proto__`.
      const value = single(inner, entry.get(2)) ?? "";
      const property = { value, enumerable: true, writable: true, configurable: true };
      Object.defineProperty(map, bytesOf(entry.get(1)).toString(), property);
    } else if (shape === "list") {
      const item = single(inner, raw) ?? (inner === "string" ? "" : {});
      result[key] = [...((result[key] ?? []) as unknown[]), item];
    } else {
      const value = single(type, raw);
      if (inlined.has(key)) Object.assign(result, value);
      else if (value !== undefined) result[key] = value;
    }
  }
  return result;
}

/** One value; undefined for what JSON leaves out. */
function single(type: string, raw: bigint | Buffer | undefined): unknown {
  switch (type) {
    case "string":
      return bytesOf(raw).toString() || undefined;
    case "bytes":
      return bytesOf(raw).toString("base64");
    case "bool":
      return numberOf(raw) !== 0n;
    case "int32":
    case "int64":
      return Number(BigInt.asIntN(64, numberOf(raw)));
    case "k8s.io.apimachinery.pkg.api.resource.Quantity":
      return bytesOf(new Map(fieldsOf(bytesOf(raw))).get(1)).toString();
    case "k8s.io.apimachinery.pkg.util.intstr.IntOrString": {
      const parts = new Map(fieldsOf(bytesOf(raw)));
      const text = numberOf(parts.get(1)) === 1n;
      return text ? bytesOf(parts.get(3)).toString() : Number(BigInt.asIntN(64, numberOf(parts.get(2))));
    }
    case `${meta}.Time`:
    case `${meta}.MicroTime`:
      return time(type, bytesOf(raw));
    default: {
      const value = message(type, bytesOf(raw));
      return Object.keys(value).length === 0 ? undefined : value;
    }
  }
}

function time(type: string, bytes: Buffer): string | undefined {
  if (bytes.length === 0) return undefined;
  const parts = new Map(fieldsOf(bytes));
  const ms = Number(BigInt.asIntN(64, numberOf(parts.get(1)))) * 1000;
  const seconds = new Date(ms).toISOString().slice(0, 19);
  if (type === `${meta}.Time`) return `${seconds}Z`;
  return `${seconds}.${String(numberOf(parts.get(2)) / 1000n).padStart(6, "0")}Z`;
}

function bytesOf(raw: bigint | Buffer | undefined): Buffer {
  if (raw === undefined) return Buffer.alloc(0);
  if (typeof raw === "bigint") throw new ProtobufError("a number stands where a text or a message belongs");
  return raw;
}

function numberOf(raw: bigint | Buffer | undefined): bigint {
  if (raw === undefined) return 0n;
  if (typeof raw !== "bigint") throw new ProtobufError("a text or a message stands where a number belongs");
  return raw;
}

/** The wire format: every field in turn, a number for a varint, its bytes for everything else. */
function fieldsOf(bytes: Buffer): [number, bigint | Buffer][] {
  const fields: [number, bigint | Buffer][] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new ProtobufError("the message ends in the middle of a number");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new ProtobufError("a number is too long");
  };
  const take = (length: number): Buffer => {
    if (length > bytes.length - at) throw new ProtobufError("the message ends in the middle of a field");
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Number(tag >> 3n);
    const wire = Number(tag & 7n);
    if (wire === 0) fields.push([number, varint()]);
    else if (wire === 2) fields.push([number, take(Number(varint()))]);
    else if (wire === 1) take(8);
    else if (wire === 5) take(4);
    else throw new ProtobufError(`wire type ${wire} is not used by Kubernetes`);
  }
  return fields;
}
