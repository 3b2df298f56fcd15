import type { Status } from "./types.ts";

/** One line of a watch. A BOOKMARK's object holds nothing but metadata.resourceVersion. */
export type WatchEvent<T> =
  | { type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; object: T }
  | { type: "ERROR"; object: Status };

/** @throws {SyntaxError} the line is no watch event */
export function parseWatchEvent<T>(line: Buffer): WatchEvent<T> {
  const event: unknown = JSON.parse(line.toString("utf8"));
  if (typeof event !== "object" || event === null || !("type" in event) || !("object" in event)) {
    throw new SyntaxError("a line without type and object");
  }
  return event as WatchEvent<T>;
}
