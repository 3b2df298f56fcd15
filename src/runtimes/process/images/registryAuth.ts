import type { ImageCredential } from "../../images.ts";
import { isObject } from "./config.ts";

/** What a registry asks for with 401. */
export interface Challenge {
  /** In lower case: `bearer`, `basic` */
  scheme: string;
  parameters: Record<string, string>;
}

/** Of a WWW-Authenticate header; undefined where it can't be understood. */
export function parseChallenge(header: string | null): Challenge | undefined {
  const [, scheme, rest = ""] = /^\s*([A-Za-z][\w-]*)(?:\s+(.*))?$/s.exec(header ?? "") ?? [];
  if (scheme === undefined) return undefined;
  const parameters: Record<string, string> = {};
  for (const [, name, quoted, plain] of rest.matchAll(/([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g)) {
    if (name) parameters[name.toLowerCase()] = quoted?.replaceAll(/\\(.)/g, "$1") ?? plain ?? "";
  }
  return { scheme: scheme.toLowerCase(), parameters };
}

export function basicAuthorization({ username, password }: ImageCredential): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/**
 * Where the token is to be had, as the registry says.
 * @throws {Error} where it sends the credentials somewhere without TLS
 */
export function tokenUrl({ parameters }: Challenge, repository: string, insecure: boolean): URL {
  const { realm = "", service, scope } = parameters;
  const url = new URL(realm);
  if (url.protocol !== "https:" && !(insecure && url.protocol === "http:")) {
    throw new Error(`the registry asks for a token of ${url.origin}, which is not https`);
  }
  if (service) url.searchParams.set("service", service);
  url.searchParams.set("scope", scope || `repository:${repository}:pull`);
  return url;
}

/** @throws {Error} where there is none in it */
export function tokenIn(answer: unknown): string {
  if (isObject(answer))
    for (const value of [answer.token, answer.access_token]) if (typeof value === "string") return value;
  throw new Error("the registry's token service gave no token");
}
