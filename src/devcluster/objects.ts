import type { ObjectMeta } from "../kube/types.ts";

/** JSON as it comes off the wire, before anything is known about it. */
export type Json = Record<string, unknown>;

/** An object as it is kept: complete metadata, frozen by convention. Whoever changes one makes new objects on the way. */
export interface Stored extends Json {
  apiVersion: string;
  kind: string;
  metadata: StoredMeta;
}

export interface StoredMeta extends ObjectMeta {
  name: string;
  uid: string;
  resourceVersion: string;
  creationTimestamp: string;
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Where an object is kept within its resource: `namespace/name`, or `/name` for what has no namespace. */
export function keyOf(namespace: string | undefined, name: string): string {
  return `${namespace ?? ""}/${name}`;
}

/** Whether two JSON values are the same, whatever the order of their keys. */
export function jsonEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, i) => jsonEqual(item, b[i]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && jsonEqual(a[key], b[key]));
}

/** A copy of `object` without the named keys; the object itself where it has none of them. */
export function without<T extends object>(object: T, ...keys: string[]): T {
  if (!keys.some((key) => Object.hasOwn(object, key))) return object;
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key))) as T;
}
