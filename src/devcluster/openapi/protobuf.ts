import type { Json } from "../objects.ts";
import { isObject } from "../objects.ts";

/** Protobuf's wire format, as far as messages of strings, booleans and messages go. */

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 128) | 0x80);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Field `number`, length-delimited: a string or an embedded message. */
export function field(number: number, content: string | Buffer): Buffer {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

/** As proto3 has it: an empty string is not sent. */
function text(number: number, value: unknown): Buffer {
  return typeof value === "string" && value !== "" ? field(number, value) : Buffer.alloc(0);
}

function flag(number: number, value: unknown): Buffer {
  return value === true ? Buffer.concat([varint(number * 8), varint(1)]) : Buffer.alloc(0);
}

function texts(number: number, values: unknown): Buffer {
  return Array.isArray(values) ? Buffer.concat(values.map((value) => field(number, String(value)))) : Buffer.alloc(0);
}

function named(number: number, name: string, value: Buffer): Buffer {
  return field(number, Buffer.concat([text(1, name), field(2, value)]));
}

function namedAll(number: number, values: unknown, encode: (value: Json) => Buffer): Buffer {
  if (!isObject(values)) return Buffer.alloc(0);
  return Buffer.concat(Object.entries(values).map(([name, value]) => named(number, name, encode(value as Json))));
}

/** `Any` with its value as YAML, of which JSON is a part. */
function any(value: unknown): Buffer {
  return field(2, `${JSON.stringify(value)}\n`);
}

function extensions(number: number, schema: Json): Buffer {
  const own = Object.entries(schema).filter(([key]) => key.startsWith("x-"));
  return Buffer.concat(own.map(([name, value]) => named(number, name, any(value))));
}

/**
 * gnostic's `openapi.v2.Document` (OpenAPIv2.proto) of a Swagger 2.0 document, which is what kubectl asks for.
 * @param document with the members that `documentV2` makes
 */
export function encodeDocument(document: Json): Buffer {
  const info = isObject(document.info) ? document.info : {};
  return Buffer.concat([
    text(1, document.swagger),
    field(2, Buffer.concat([text(1, info.title), text(2, info.version)])),
    field(8, namedAll(2, document.paths, encodePath)),
    field(9, namedAll(1, document.definitions, encodeSchema)),
  ]);
}

export function encodeSchema(schema: Json): Buffer {
  const parts = [
    text(1, schema.$ref),
    text(2, schema.format),
    text(4, schema.description),
    texts(19, schema.required),
    text(3, schema.title),
  ];
  if (schema.default !== undefined) parts.push(field(5, any(schema.default)));
  if (isObject(schema.additionalProperties)) {
    parts.push(field(21, field(1, encodeSchema(schema.additionalProperties))));
  }
  if (typeof schema.type === "string") parts.push(field(22, field(1, schema.type)));
  if (isObject(schema.items)) parts.push(field(23, field(1, encodeSchema(schema.items))));
  if (schema.properties !== undefined) parts.push(field(25, namedAll(1, schema.properties, encodeSchema)));
  parts.push(extensions(31, schema));
  return Buffer.concat(parts);
}

const operations: readonly [name: string, number: number][] = [
  ["get", 2],
  ["put", 3],
  ["post", 4],
  ["delete", 5],
  ["patch", 8],
];

function encodePath(path: Json): Buffer {
  return Buffer.concat(
    operations.flatMap(([name, number]) => (isObject(path[name]) ? [field(number, encodeOperation(path[name]))] : [])),
  );
}

function encodeOperation(operation: Json): Buffer {
  const parameters = Array.isArray(operation.parameters) ? (operation.parameters as Json[]) : [];
  return Buffer.concat([
    text(3, operation.description),
    text(5, operation.operationId),
    ...parameters.map((parameter) => field(8, encodeQueryParameter(parameter))),
    field(
      9,
      namedAll(1, operation.responses, (response) => field(1, text(1, response.description))),
    ),
    extensions(13, operation),
  ]);
}

/** ParametersItem > Parameter > NonBodyParameter > QueryParameterSubSchema. */
function encodeQueryParameter(parameter: Json): Buffer {
  const schema = Buffer.concat([
    text(2, parameter.in),
    text(4, parameter.name),
    text(6, parameter.type),
    flag(20, parameter.uniqueItems),
  ]);
  return field(1, field(2, field(3, schema)));
}
