import { alignmentOf, type DBusType, parseSignature } from "./signature.ts";

/** A value with its own type, for `v`. */
export interface Variant {
  signature: string;
  value: DBusValue;
}

/**
 * Numbers for y n q i u d h, bigint for x t, boolean for b, strings for s o g; arrays for arrays, structs and entries of
 * dictionaries, in their order. `ay` is a Buffer.
 */
export type DBusValue = number | bigint | boolean | string | Uint8Array | Variant | DBusValue[];

/** The specification's limits. */
const [longestArray, longestString] = [2 ** 26, 2 ** 27];

/** @throws {TypeError} where a value is not what the signature says */
export function encodeBody(signature: string, values: readonly DBusValue[]): Buffer {
  const types = parseSignature(signature);
  if (types.length !== values.length) throw new TypeError(`${values.length} values for D-Bus signature "${signature}"`);
  const writer = new Writer();
  types.forEach((type, i) => {
    writer.write(type, values[i] as DBusValue);
  });
  return writer.bytes();
}

/** @throws {TypeError} where the bytes are not what the signature says */
export function decodeBody(signature: string, bytes: Buffer, littleEndian = true): DBusValue[] {
  const reader = new Reader(bytes, littleEndian);
  return parseSignature(signature).map((type) => reader.read(type));
}

export class Writer {
  #bytes = Buffer.alloc(256);
  #length = 0;

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  align(to: number): void {
    const pad = (to - (this.#length % to)) % to;
    this.#room(pad);
    this.#bytes.fill(0, this.#length, this.#length + pad);
    this.#length += pad;
  }

  write(type: DBusType, value: DBusValue): void {
    this.align(alignmentOf(type));
    switch (type.code) {
      case "v": {
        const { signature, value: inner } = value as Variant;
        const [only, ...more] = parseSignature(signature);
        if (!only || more.length > 0) throw new TypeError(`"${signature}" is not one D-Bus type`);
        this.#signature(signature);
        this.write(only, inner);
        return;
      }
      case "a":
        this.#array(type.of[0] as DBusType, value);
        return;
      case "(":
      case "{": {
        if (!Array.isArray(value) || value.length !== type.of.length) throw wrong(type, value);
        type.of.forEach((of, i) => {
          this.write(of, value[i] as DBusValue);
        });
        return;
      }
      case "s":
      case "o":
        this.#string(value);
        return;
      case "g":
        this.#signature(String(value));
        return;
      default:
        this.#number(type, value);
    }
  }

  #number(type: DBusType, value: DBusValue): void {
    const { code } = type;
    if ("xt".includes(code)) {
      if (typeof value !== "bigint") throw wrong(type, value);
      this.#room(8);
      if (code === "x") this.#bytes.writeBigInt64LE(value, this.#length);
      else this.#bytes.writeBigUInt64LE(value, this.#length);
      this.#length += 8;
      return;
    }
    const number = code === "b" && typeof value === "boolean" ? Number(value) : value;
    if (typeof number !== "number") throw wrong(type, value);
    this.#room(8);
    const at = this.#length;
    this.#length =
      code === "y"
        ? this.#bytes.writeUInt8(number, at)
        : code === "n"
          ? this.#bytes.writeInt16LE(number, at)
          : code === "q"
            ? this.#bytes.writeUInt16LE(number, at)
            : code === "i"
              ? this.#bytes.writeInt32LE(number, at)
              : code === "d"
                ? this.#bytes.writeDoubleLE(number, at)
                : this.#bytes.writeUInt32LE(number, at);
  }

  #string(value: DBusValue): void {
    if (typeof value !== "string" || value.includes("\0")) throw new TypeError("a D-Bus string has no NUL");
    const length = Buffer.byteLength(value);
    this.#room(4 + length + 1);
    this.#bytes.writeUInt32LE(length, this.#length);
    this.#bytes.write(value, this.#length + 4);
    this.#length += 4 + length + 1;
    this.#bytes[this.#length - 1] = 0;
  }

  #signature(value: string): void {
    this.#room(value.length + 2);
    this.#bytes[this.#length] = value.length;
    this.#bytes.write(value, this.#length + 1, "latin1");
    this.#length += value.length + 2;
    this.#bytes[this.#length - 1] = 0;
  }

  #array(of: DBusType, value: DBusValue): void {
    const items = value instanceof Uint8Array ? [...value] : value;
    if (!Array.isArray(items)) throw wrong({ code: "a", of: [of] }, value);
    this.#room(4);
    const lengthAt = this.#length;
    this.#length += 4;
    this.align(alignmentOf(of));
    const begin = this.#length;
    for (const item of items) this.write(of, item);
    const length = this.#length - begin;
    if (length > longestArray) throw new TypeError("a D-Bus array is too long");
    this.#bytes.writeUInt32LE(length, lengthAt);
  }

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(2 * this.#bytes.length, this.#length + more));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

export class Reader {
  readonly #bytes: Buffer;
  readonly #little: boolean;
  #at = 0;

  constructor(bytes: Buffer, littleEndian: boolean) {
    this.#bytes = bytes;
    this.#little = littleEndian;
  }

  get at(): number {
    return this.#at;
  }

  align(to: number): void {
    this.#take((to - (this.#at % to)) % to);
  }

  read(type: DBusType): DBusValue {
    this.align(alignmentOf(type));
    switch (type.code) {
      case "v": {
        const signature = this.#signature();
        const [only, ...more] = parseSignature(signature);
        if (!only || more.length > 0) throw new TypeError(`"${signature}" is not one D-Bus type`);
        return { signature, value: this.read(only) };
      }
      case "a":
        return this.#array(type.of[0] as DBusType);
      case "(":
      case "{":
        return type.of.map((of) => this.read(of));
      case "s":
      case "o": {
        const length = this.#uint32();
        if (length > longestString) throw new TypeError("a D-Bus string is too long");
        const at = this.#take(length + 1);
        return this.#bytes.toString("utf8", at, at + length);
      }
      case "g":
        return this.#signature();
      default:
        return this.#number(type.code);
    }
  }

  #number(code: string): DBusValue {
    const size = code === "y" ? 1 : "nq".includes(code) ? 2 : "xtd".includes(code) ? 8 : 4;
    const at = this.#take(size);
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, size);
    const little = this.#little;
    switch (code) {
      case "y":
        return view.getUint8(0);
      case "n":
        return view.getInt16(0, little);
      case "q":
        return view.getUint16(0, little);
      case "i":
        return view.getInt32(0, little);
      case "x":
        return view.getBigInt64(0, little);
      case "t":
        return view.getBigUint64(0, little);
      case "d":
        return view.getFloat64(0, little);
      case "b":
        return view.getUint32(0, little) !== 0;
      default:
        return view.getUint32(0, little);
    }
  }

  #array(of: DBusType): DBusValue {
    const length = this.#uint32();
    if (length > longestArray) throw new TypeError("a D-Bus array is too long");
    this.align(alignmentOf(of));
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new TypeError("a D-Bus message ends too early");
    if (of.code === "y") return this.#bytes.subarray(this.#take(length), end);
    const items: DBusValue[] = [];
    while (this.#at < end) items.push(this.read(of));
    if (this.#at !== end) throw new TypeError("a D-Bus array does not end where it says");
    return items;
  }

  #signature(): string {
    const length = this.#bytes[this.#take(1)] ?? 0;
    const at = this.#take(length + 1);
    return this.#bytes.toString("latin1", at, at + length);
  }

  #uint32(): number {
    return this.#number("u") as number;
  }

  /** @returns where what is taken begins */
  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw new TypeError("a D-Bus message ends too early");
    this.#at = at + count;
    return at;
  }
}

function wrong({ code }: DBusType, value: DBusValue): TypeError {
  return new TypeError(`a ${typeof value} is no value of D-Bus type "${code}"`);
}
