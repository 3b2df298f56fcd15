import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { HostletError } from "../errors.ts";

export type Mapping = Record<string, unknown>;

/** Reads fields, and says where a wrong one stands. Never what a secret one holds. */
export class Fields {
  readonly #file: string;
  readonly #context: string;

  constructor(file: string, context: string) {
    this.#file = file;
    this.#context = context;
  }

  /** What a message calls the field. */
  name(field: string): string {
    return `kubeconfig ${this.#file}, context "${this.#context}": ${field}`;
  }

  fail(field: string, what: string, cause?: unknown): never {
    throw new HostletError("ConfigInvalid", `${this.name(field)} ${what}`, { cause });
  }

  string(from: Mapping, section: string, field: string): string | undefined {
    const value = from[field];
    if (value === undefined || value === null || value === "") return undefined;
    return typeof value === "string" ? value : this.fail(`${section}.${field}`, "is no string");
  }

  optional<K extends string>(key: K, from: Mapping, section: string, field: string): Partial<Record<K, string>> {
    const value = this.string(from, section, field);
    return value === undefined ? {} : ({ [key]: value } as Record<K, string>);
  }

  path(name: string): string {
    return resolve(dirname(this.#file), name);
  }

  /** `<field>-data` (base64), which goes first as in kubectl, or the file that `<field>` names. */
  pem(from: Mapping, section: string, field: string): string | undefined {
    const data = this.string(from, section, `${field}-data`);
    if (data !== undefined) {
      const base64 = data.replace(/\s+/g, "");
      if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) this.fail(`${section}.${field}-data`, "is no base64");
      return Buffer.from(base64, "base64").toString("utf8");
    }
    const name = this.string(from, section, field);
    if (name === undefined) return undefined;
    try {
      return readFileSync(this.path(name), "utf8");
    } catch (cause) {
      return this.fail(`${section}.${field}`, `names a file that can't be read: ${reasonOf(cause)}`, cause);
    }
  }

  /** The file that `<field>` names, where its content is what counts. */
  file<K extends string>(key: K, from: Mapping, section: string, field: string): Partial<Record<K, string>> {
    const name = this.string(from, section, field);
    if (name === undefined || this.string(from, section, `${field}-data`) !== undefined) return {};
    return { [key]: this.path(name) } as Record<K, string>;
  }

  usable<T>(field: string, check: () => T): T {
    try {
      return check();
    } catch (cause) {
      return this.fail(field, `can't be used: ${reasonOf(cause)}`, cause);
    }
  }
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
