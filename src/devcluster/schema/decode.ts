import { isObject, type Json } from "../objects.ts";
import { quantityNano } from "../quantity.ts";
import type { SchemaNode } from "./schema.ts";

/** A value that the type does not allow; the message is Go's, since that is what people search for. */
export class DecodeError extends Error {}

/**
 * Reads JSON as Go reads it into a struct: unknown fields and nulls are dropped, a number where a quantity is wanted
 * becomes its text. Returns the same reference wherever nothing had to change.
 * @param known what was decoded before: parts that are the same reference are not looked at again
 * @param unknown is told each unknown field's path, such as `spec.containers[0].foo`
 * @throws {DecodeError} for a value of the wrong type
 */
export function decode(node: SchemaNode, value: Json, unknown: (path: string) => void, known?: Json): Json {
  return decodeNode(node, value, "", { struct: "", dotted: "" }, unknown, known) as Json;
}

const quantityHelp = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

interface Where {
  struct: string;
  dotted: string;
}

function decodeNode(
  node: SchemaNode,
  value: unknown,
  path: string,
  where: Where,
  unknown: (path: string) => void,
  known?: unknown,
): unknown {
  if (value === known && value !== undefined) return value;
  switch (node.type) {
    case "any":
      return value;
    case "object": {
      if (!isObject(value)) throw mismatch(value, where, node.name);
      let result: Json = value;
      const before = isObject(known) ? known : undefined;
      for (const key of Object.keys(value)) {
        const field = node.fields.get(key);
        const old = value[key];
        let decoded: unknown;
        if (!field) unknown(path === "" ? key : `${path}.${key}`);
        else if (old !== null && old !== undefined) {
          const inner = { struct: node.name, dotted: where.dotted === "" ? key : `${where.dotted}.${key}` };
          decoded = decodeNode(field.node, old, path === "" ? key : `${path}.${key}`, inner, unknown, before?.[key]);
          if (decoded === old) continue;
        }
        if (result === value) result = { ...value };
        if (decoded === undefined) delete result[key];
        else result[key] = decoded;
      }
      return result;
    }
    case "map": {
      if (!isObject(value)) throw mismatch(value, where, "map");
      let result: Json = value;
      for (const key of Object.keys(value)) {
        const old = value[key];
        const decoded = old === null ? zero(node.value) : decodeNode(node.value, old, `${path}.${key}`, where, unknown);
        if (decoded === old) continue;
        if (result === value) result = { ...value };
        result[key] = decoded;
      }
      return result;
    }
    case "list": {
      if (!Array.isArray(value)) throw mismatch(value, where, "list");
      let result: unknown[] = value;
      const before = Array.isArray(known) ? known : [];
      for (let i = 0; i < value.length; i++) {
        const old: unknown = value[i];
        const decoded =
          old === null ? zero(node.item) : decodeNode(node.item, old, `${path}[${i}]`, where, unknown, before[i]);
        if (decoded === old) continue;
        if (result === value) result = [...value];
        result[i] = decoded;
      }
      return result;
    }
    case "quantity":
      if (typeof value === "number") return String(value);
      if (typeof value !== "string") throw mismatch(value, where, node.go);
      if (quantityNano(value) === undefined) throw new DecodeError(quantityHelp);
      return value;
    case "intOrString":
      if (typeof value !== "string" && !Number.isInteger(value)) throw mismatch(value, where, node.go);
      return value;
    case "bytes":
      if (typeof value !== "string") throw mismatch(value, where, node.go);
      if (!isBase64(value)) throw new DecodeError(`illegal base64 data at input byte ${firstBadByte(value)}`);
      return value;
    case "string":
      if (typeof value !== "string") throw mismatch(value, where, node.go);
      return value;
    case "integer":
      if (!Number.isInteger(value)) throw mismatch(value, where, node.go);
      return value;
    case "number":
      if (typeof value !== "number") throw mismatch(value, where, node.go);
      return value;
    case "boolean":
      if (typeof value !== "boolean") throw mismatch(value, where, node.go);
      return value;
  }
}

/** What Go makes of a null inside a list or a map. */
function zero(node: SchemaNode): unknown {
  switch (node.type) {
    case "object":
    case "map":
      return {};
    case "list":
      return [];
    case "integer":
    case "number":
      return 0;
    case "boolean":
      return false;
    case "quantity":
      return "0";
    case "any":
      return null;
    default:
      return "";
  }
}

function mismatch(value: unknown, where: Where, go: string): DecodeError {
  const given = Array.isArray(value) ? "array" : typeof value === "boolean" ? "bool" : typeof value;
  const number = typeof value === "number" && !Number.isInteger(value) ? ` ${value}` : "";
  if (where.struct === "") return new DecodeError(`json: cannot unmarshal ${given} into Go value of type v1.${go}`);
  return new DecodeError(
    `json: cannot unmarshal ${given}${number} into Go struct field ${where.struct}.${where.dotted} of type ${go}`,
  );
}

const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

function isBase64(text: string): boolean {
  const packed = /[\r\n]/.test(text) ? text.replace(/[\r\n]/g, "") : text;
  return packed.length % 4 === 0 && base64.test(packed);
}

function firstBadByte(text: string): number {
  const bad = text.search(/[^A-Za-z0-9+/=\r\n]/);
  return bad >= 0 ? bad : text.length - (text.length % 4);
}
