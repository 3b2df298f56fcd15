import { isObject, type Json, jsonEqual } from "../objects.ts";
import type { SchemaField, SchemaNode } from "../schema/schema.ts";
import { PatchError } from "./json.ts";

const orderPrefix = "$setElementOrder/";
const deletePrefix = "$deleteFromPrimitiveList/";

/**
 * Strategic merge patch: a merge patch in which the schema says which lists are merged item by item, and by what key.
 * Directives: `$patch: delete|replace|merge`, `$retainKeys`, `$deleteFromPrimitiveList/<list>`, `$setElementOrder/<list>`.
 * Changes neither argument. @throws {PatchError}
 */
export function strategicMergePatch(target: Json, patch: Json, schema: SchemaNode): Json {
  return mergeObject(target, patch, schema);
}

function mergeObject(target: Json, patch: Json, schema: SchemaNode | undefined): Json {
  if (Object.hasOwn(patch, "$patch")) {
    if (patch.$patch === "replace") return clean(withoutDirective(patch), schema);
    if (patch.$patch === "delete") return {};
    if (patch.$patch !== "merge") throw new PatchError(`Unknown patch type found: ${String(patch.$patch)}`);
  }
  const result: Json = retained(target, patch);
  for (const [key, value] of Object.entries(patch)) {
    if (key === "$patch" || key === "$retainKeys" || key.startsWith(orderPrefix)) continue;
    if (key.startsWith(deletePrefix)) {
      const name = key.slice(deletePrefix.length);
      const list = result[name];
      if (Array.isArray(list))
        result[name] = list.filter((item) => !listOf(value, key).some((v) => jsonEqual(v, item)));
      continue;
    }
    if (value === null) {
      delete result[key];
      continue;
    }
    const field = fieldOf(schema, key);
    const old = result[key];
    if (isObject(value)) result[key] = mergeObject(isObject(old) ? old : {}, value, field?.node);
    else if (Array.isArray(value) && field?.merge) {
      result[key] = mergeList(Array.isArray(old) ? old : [], value, field);
    } else result[key] = value;
  }
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith(orderPrefix)) continue;
    const name = key.slice(orderPrefix.length);
    const list = result[name];
    if (!Array.isArray(list)) continue;
    const server = target[name];
    result[name] = ordered(
      list,
      listOf(value, key),
      Array.isArray(server) ? server : [],
      fieldOf(schema, name)?.mergeKey,
    );
  }
  return result;
}

function fieldOf(schema: SchemaNode | undefined, key: string): SchemaField | undefined {
  if (schema?.type === "object") return schema.fields.get(key);
  if (schema?.type === "map") return { node: schema.value, merge: false, mergeKey: undefined };
  return undefined;
}

function listOf(value: unknown, directive: string): unknown[] {
  if (!Array.isArray(value)) throw new PatchError(`the directive ${directive} is not a list`);
  return value;
}

function retained(target: Json, patch: Json): Json {
  if (!Object.hasOwn(patch, "$retainKeys")) return { ...target };
  const keep = listOf(patch.$retainKeys, "$retainKeys");
  for (const [key, value] of Object.entries(patch)) {
    if (!key.startsWith("$") && value !== null && !keep.includes(key)) {
      throw new PatchError(`a field of the patch is missing in $retainKeys: ${key}`);
    }
  }
  return Object.fromEntries(Object.entries(target).filter(([key]) => keep.includes(key)));
}

function withoutDirective(patch: Json): Json {
  const { $patch: _, ...rest } = patch;
  return rest;
}

/** What a new part of the object looks like: its nulls and directives mean nothing there. */
function clean(value: Json, schema: SchemaNode | undefined): Json {
  return mergeObject({}, value, schema);
}

function mergeList(target: unknown[], patch: unknown[], field: SchemaField): unknown[] {
  const { mergeKey } = field;
  if (mergeKey === undefined || patch.every((item) => !isObject(item))) {
    const merged = [...target];
    for (const item of patch) if (!merged.some((old) => jsonEqual(old, item))) merged.push(item);
    return ordered(merged, patch, target, undefined);
  }
  const item = field.node.type === "list" ? field.node.item : undefined;
  const plain: Json[] = [];
  let merged = target;
  let replace = false;
  for (const entry of patch) {
    if (!isObject(entry)) throw new PatchError(`an item of a list merged by ${mergeKey} is not an object`);
    if (!Object.hasOwn(entry, "$patch")) {
      plain.push(entry);
    } else if (entry.$patch === "delete") {
      merged = merged.filter((old) => !jsonEqual(mergeValue(old, mergeKey), mergeValue(entry, mergeKey)));
    } else if (entry.$patch === "replace") replace = true;
    else throw new PatchError(`unknown $patch in an item of a list: ${String(entry.$patch)}`);
  }
  if (replace) return plain.map((entry) => clean(entry, item));
  const result = [...merged];
  for (const entry of plain) {
    const value = mergeValue(entry, mergeKey);
    if (value === undefined)
      throw new PatchError(`map: ${JSON.stringify(entry)} does not contain declared merge key: ${mergeKey}`);
    const at = result.findIndex((old) => jsonEqual(mergeValue(old, mergeKey), value));
    if (at < 0) result.push(mergeObject({}, entry, item));
    else result[at] = mergeObject(result[at] as Json, entry, item);
  }
  return ordered(result, plain, target, mergeKey);
}

function mergeValue(item: unknown, mergeKey: string | undefined): unknown {
  if (mergeKey === undefined || !isObject(item)) return item;
  return item[mergeKey];
}

/**
 * Items that the patch names stand in its order; the others keep the server's; where both lists say nothing of each
 * other an item that is new comes first (strategicpatch's mergeSortedSlice does so).
 */
function ordered(list: unknown[], order: unknown[], server: unknown[], mergeKey: string | undefined): unknown[] {
  const place = (items: unknown[], item: unknown) =>
    items.findIndex((other) => jsonEqual(mergeValue(other, mergeKey), mergeValue(item, mergeKey)));
  const named = list.filter((item) => place(order, item) >= 0);
  const others = list.filter((item) => place(order, item) < 0);
  named.sort((a, b) => place(order, a) - place(order, b));
  others.sort((a, b) => place(server, a) - place(server, b));
  const result: unknown[] = [];
  let left = 0;
  let right = 0;
  while (left < others.length && right < named.length) {
    const takeLeft = place(server, others[left]) <= place(server, named[right]);
    result.push(takeLeft ? others[left++] : named[right++]);
  }
  return [...result, ...others.slice(left), ...named.slice(right)];
}
