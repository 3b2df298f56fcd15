import type { Stored } from "../objects.ts";
import { age } from "./duration.ts";

export interface Column {
  name: string;
  type: "string" | "integer";
  /** `name` marks the column that kubectl takes for the object's name. */
  format?: string;
  /** 0: always shown; 1: with -o wide. */
  priority: 0 | 1;
  cell: (object: Stored, now: number) => string | number;
}

export const nameColumn: Column = {
  name: "Name",
  type: "string",
  format: "name",
  priority: 0,
  cell: (object) => object.metadata.name,
};

export const ageColumn: Column = {
  name: "Age",
  type: "string",
  priority: 0,
  cell: (object, now) => age(object.metadata.creationTimestamp, now),
};

export const orNone = (text: string | undefined): string => text || "<none>";
