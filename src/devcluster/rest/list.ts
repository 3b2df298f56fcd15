import type { ResourceType } from "../resources.ts";
import { badRequest, expired } from "../status.ts";
import type { Entry } from "../store/entry.ts";
import type { Api } from "./api.ts";
import type { Selection } from "./selection.ts";

export interface Page {
  entries: Entry[];
  /** The list's resourceVersion: where a watch goes on. */
  revision: number;
  continue: string | undefined;
  remaining: number | undefined;
}

interface Token {
  revision: number;
  after: string;
}

/**
 * A list, a page at a time where `limit` is given. Later pages show the objects as they are then: nothing old is kept.
 * @throws {StatusError} 400
 */
export function list(api: Api, resource: ResourceType, select: Selection, query: URLSearchParams): Page {
  const limit = Number(query.get("limit") ?? 0);
  if (!Number.isInteger(limit) || limit < 0) throw badRequest("limit must be a number that is not negative");
  const token = readToken(query.get("continue"));
  let entries = api.store.list(resource, select.namespace);
  if (!select.all) entries = entries.filter((entry) => select.matches(entry.object));
  if (token) entries = entries.filter((entry) => entry.key > token.after);
  const revision = token?.revision ?? api.store.revision;
  const page = limit === 0 ? entries : entries.slice(0, limit);
  const rest = entries.length - page.length;
  const last = page.at(-1);
  if (rest === 0 || !last) return { entries: page, revision, continue: undefined, remaining: undefined };
  const next = Buffer.from(JSON.stringify({ revision, after: last.key })).toString("base64url");
  return { entries: page, revision, continue: next, remaining: select.all ? rest : undefined };
}

function readToken(text: string | null): Token | undefined {
  if (!text) return undefined;
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString()) as Token;
  } catch {
    throw badRequest("continue key is not valid");
  }
}

/** @throws {StatusError} 504 for a version that is yet to come, 400 for one that is no number */
export function parseRevision(text: string | null): number | undefined {
  if (text === null || text === "") return undefined;
  if (!/^[0-9]+$/.test(text)) throw badRequest(`resourceVersion: Invalid value: ${JSON.stringify(text)}`);
  return Number(text);
}

export const tooOld = (asked: number, oldest: number) => expired(`too old resource version: ${asked} (${oldest})`);
