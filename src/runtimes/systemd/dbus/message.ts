import { parseSignature } from "./signature.ts";
import { type DBusValue, decodeBody, encodeBody, Reader, type Variant } from "./wire.ts";

export type MessageKind = "call" | "return" | "error" | "signal";

/** A D-Bus message; its body is decoded by its own signature. */
export interface Message {
  kind: MessageKind;
  serial: number;
  path?: string;
  interface?: string;
  member?: string;
  error?: string;
  replyTo?: number;
  destination?: string;
  sender?: string;
  signature?: string;
  body?: DBusValue[];
}

const kinds: MessageKind[] = ["call", "return", "error", "signal"];
/** The specification's limit. */
const longestMessage = 2 ** 27;
const fixedHeader = 16;
/** Fields of the header by their number, with their type. */
const fields = [
  [1, "path", "o"],
  [2, "interface", "s"],
  [3, "member", "s"],
  [4, "error", "s"],
  [5, "replyTo", "u"],
  [6, "destination", "s"],
  [7, "sender", "s"],
  [8, "signature", "g"],
] as const;

export function encodeMessage(message: Message): Buffer {
  const { kind, serial, signature = "", body = [] } = message;
  const content = encodeBody(signature, body);
  const header: DBusValue[] = fields.flatMap(([number, name, type]) => {
    const value = message[name];
    return value === undefined || value === "" ? [] : [[number, { signature: type, value } as Variant]];
  });
  const parts = ["l".charCodeAt(0), kinds.indexOf(kind) + 1, 0, 1, content.length, serial, header];
  const head = encodeBody("yyyyuua(yv)", parts);
  const pad = Buffer.alloc((8 - (head.length % 8)) % 8);
  return Buffer.concat([head, pad, content]);
}

/** Takes bytes in pieces of any size and gives messages. */
export class MessageParser {
  #held: Buffer = Buffer.alloc(0);

  /** @throws {TypeError} where the bytes are no messages */
  push(chunk: Buffer): Message[] {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const messages: Message[] = [];
    for (;;) {
      const length = lengthOf(this.#held);
      if (length === undefined || this.#held.length < length) return messages;
      const message = decode(this.#held.subarray(0, length));
      if (message) messages.push(message);
      this.#held = this.#held.subarray(length);
    }
  }
}

/** Of the whole message at the start; undefined where too little of it is here. */
function lengthOf(bytes: Buffer): number | undefined {
  if (bytes.length < fixedHeader) return undefined;
  const little = isLittle(bytes);
  const uint32 = (at: number) => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const length = Math.ceil((fixedHeader + uint32(12)) / 8) * 8 + uint32(4);
  if (length > longestMessage) throw new TypeError("a D-Bus message is too long");
  return length;
}

/** Undefined for a kind that is not known, which the specification says to ignore. */
function decode(bytes: Buffer): Message | undefined {
  const little = isLittle(bytes);
  const kind = kinds[(bytes[1] ?? 0) - 1];
  const reader = new Reader(bytes, little);
  const [, , , , , serial, header] = parseSignature("yyyyuua(yv)").map((type) => reader.read(type));
  reader.align(8);
  if (!kind) return undefined;
  const message: Message = { kind, serial: serial as number };
  for (const [number, variant] of header as [number, Variant][]) {
    const name = fields.find((field) => field[0] === number)?.[1];
    if (name) Object.assign(message, { [name]: variant.value });
  }
  // Alignment counts from the body's own start, which is a multiple of 8.
  if (message.signature) message.body = decodeBody(message.signature, bytes.subarray(reader.at), little);
  return message;
}

function isLittle(bytes: Buffer): boolean {
  if (bytes[0] === 0x6c) return true;
  if (bytes[0] === 0x42) return false;
  throw new TypeError("what came is no D-Bus message");
}
