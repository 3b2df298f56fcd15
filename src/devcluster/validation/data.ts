import { isObject, jsonEqual, type Stored } from "../objects.ts";
import { type FieldError, forbiddenField, invalid, tooLong } from "../status.ts";

/** Of a ConfigMap or Secret, keys not counted. */
const limit = 1024 * 1024;
const keyHelp =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

function keyProblems(key: string): string[] {
  if (key.length > 253) return ["must be no more than 253 bytes"];
  if (!/^[-._a-zA-Z0-9]+$/.test(key)) return [keyHelp];
  if (key === "." || key === "..") return [`must not be '${key}'`];
  return key.startsWith("..") ? ["must not start with '..'"] : [];
}

/** ConfigMap and Secret: keys and size. */
export function validateData(object: Stored): FieldError[] {
  const secret = object.kind === "Secret";
  const data = isObject(object.data) ? object.data : {};
  const binary = isObject(object.binaryData) ? object.binaryData : {};
  const errors: FieldError[] = [];
  let size = 0;
  for (const [key, value] of Object.entries(data)) {
    size += secret ? base64Length(String(value)) : Buffer.byteLength(String(value));
    errors.push(...keyProblems(key).map((problem) => invalid(`data[${key}]`, key, problem)));
    if (Object.hasOwn(binary, key)) errors.push(invalid(`data[${key}]`, key, "duplicate of key present in binaryData"));
  }
  for (const [key, value] of Object.entries(binary)) {
    size += base64Length(String(value));
    errors.push(...keyProblems(key).map((problem) => invalid(`binaryData[${key}]`, key, problem)));
  }
  if (size > limit) errors.push(tooLong(secret ? "data" : "", limit));
  return errors;
}

function base64Length(text: string): number {
  return Buffer.byteLength(text, "base64");
}

/** An immutable one stays so, and a Secret's type never changes. */
export function validateDataUpdate(object: Stored, old: Stored): FieldError[] {
  const errors: FieldError[] = [];
  if (old.kind === "Secret" && object.type !== old.type) {
    errors.push(invalid("type", object.type, "field is immutable"));
  }
  if (old.immutable !== true) return errors;
  if (object.immutable !== true) {
    errors.push(forbiddenField("immutable", "field is immutable when `immutable` is set"));
  }
  for (const field of ["data", "binaryData"] as const) {
    if (!jsonEqual(object[field] ?? {}, old[field] ?? {})) {
      errors.push(forbiddenField(field, "field is immutable when `immutable` is set"));
    }
  }
  return errors;
}
