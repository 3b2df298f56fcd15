import { isObject, type Json, jsonEqual } from "../objects.ts";

/** A patch that can't be applied; the message goes to the client. */
export class PatchError extends Error {}

/** JSON patch, RFC 6902. Changes neither argument. @throws {PatchError} */
export function jsonPatch(target: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw new PatchError("a JSON patch is a list of operations");
  return operations.reduce<unknown>((document, operation) => {
    if (!isObject(operation)) throw new PatchError("an operation of a JSON patch is an object");
    return applyOperation(document, operation);
  }, target);
}

function applyOperation(document: unknown, operation: Json): unknown {
  const path = pointer(operation, "path");
  const op = String(operation.op);
  switch (op) {
    case "add":
      if (path.length === 0) return operand(operation);
      return edit(document, path, (parent, key) => insert(parent, key, operand(operation)));
    case "replace":
      if (path.length === 0) return operand(operation);
      return edit(document, path, (parent, key) => {
        child(parent, key, operation);
        return set(parent, key, operand(operation));
      });
    case "remove":
      return edit(document, path, (parent, key) => {
        child(parent, key, operation);
        return remove(parent, key);
      });
    case "test":
      if (!jsonEqual(lookup(document, path, operation), operand(operation))) {
        throw new PatchError(`testing value ${operation.path} failed`);
      }
      return document;
    case "copy":
    case "move": {
      const from = pointer(operation, "from");
      const value = lookup(document, from, operation);
      if (op === "copy") return edit(document, path, (parent, key) => insert(parent, key, value));
      if (path.length > from.length && from.every((key, i) => key === path[i])) {
        throw new PatchError(`can't move ${operation.from} into itself`);
      }
      const removed = edit(document, from, (parent, key) => remove(parent, key));
      return edit(removed, path, (parent, key) => insert(parent, key, value));
    }
    default:
      throw new PatchError(`unexpected kind: ${op}`);
  }
}

function operand(operation: Json): unknown {
  if (!Object.hasOwn(operation, "value")) throw new PatchError(`${operation.op} operation without a value`);
  return operation.value;
}

function pointer(operation: Json, field: "path" | "from"): string[] {
  const text = operation[field];
  if (typeof text !== "string") throw new PatchError(`${operation.op} operation without a ${field}`);
  if (text === "") return [];
  if (!text.startsWith("/")) throw new PatchError(`the ${field} ${JSON.stringify(text)} does not start with /`);
  return text
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Rebuilds the spine from the root to the parent of `path`; `change` gets that parent and returns the new one. */
function edit(document: unknown, path: string[], change: (parent: unknown, key: string) => unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) throw new PatchError("the whole document can only be replaced");
  if (rest.length === 0) return change(document, key);
  const next = child(document, key, { path: `/${path.join("/")}` });
  return set(document, key, edit(next, rest, change));
}

function index(list: unknown[], key: string, limit: number): number {
  if (!/^(0|[1-9][0-9]*)$/.test(key) || Number(key) > limit) {
    throw new PatchError(`unable to access invalid index: ${key} of a list of ${list.length}`);
  }
  return Number(key);
}

function child(parent: unknown, key: string, operation: Json): unknown {
  if (Array.isArray(parent)) return parent[index(parent, key, parent.length - 1)];
  if (isObject(parent) && Object.hasOwn(parent, key)) return parent[key];
  throw new PatchError(`${operation.op ?? "add"} operation does not apply: doc is missing path: ${operation.path}`);
}

function lookup(document: unknown, path: string[], operation: Json): unknown {
  return path.reduce((value, key) => child(value, key, operation), document);
}

function set(parent: unknown, key: string, value: unknown): unknown {
  if (Array.isArray(parent)) return parent.with(index(parent, key, parent.length - 1), value);
  return { ...(parent as Json), [key]: value };
}

function insert(parent: unknown, key: string, value: unknown): unknown {
  if (Array.isArray(parent))
    return parent.toSpliced(key === "-" ? parent.length : index(parent, key, parent.length), 0, value);
  if (!isObject(parent)) throw new PatchError(`add operation does not apply: nothing can be added to a plain value`);
  return { ...parent, [key]: value };
}

function remove(parent: unknown, key: string): unknown {
  if (Array.isArray(parent)) return parent.toSpliced(index(parent, key, parent.length - 1), 1);
  const { [key]: _, ...rest } = parent as Json;
  return rest;
}
