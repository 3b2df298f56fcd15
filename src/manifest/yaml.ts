import { isCollection, type ParsedNode, parseAllDocuments, type ScalarTag, type Tags, visit } from "yaml";
import { HostletError } from "../errors.ts";

export interface ParsedDocument {
  /** What JSON can hold, and nothing else; shares no part with itself or with another document. */
  value: unknown;
  /** Counts from 1, empty documents included. */
  document: number;
  /** The line on which the document's content begins, from 1. */
  line: number;
}

/** `0o17`, which Go's number parser reads as octal, though YAML 1.1 has no such form. */
const octal: ScalarTag = {
  tag: "tag:yaml.org,2002:int",
  default: true,
  format: "OCT",
  test: /^[-+]?0o[0-7_]+$/,
  resolve: (text) => Number(text.replaceAll("_", "").replace(/^[-+]/, "")) * (text.startsWith("-") ? -1 : 1),
};

/** sigs.k8s.io/yaml gives the decoded bytes as a string. */
const binary: ScalarTag = {
  tag: "tag:yaml.org,2002:binary",
  resolve: (text) => new TextDecoder().decode(Buffer.from(text, "base64")),
};

const halfPair = /\p{Surrogate}/u;
const leftOut = /:(binary|timestamp|omap|pairs|set)$/;

/**
 * YAML 1.1 as kubectl reads it (sigs.k8s.io/yaml, goyaml.v2/resolve.go): `yes` and `on` are booleans, `0644` is octal,
 * but times and sexagesimal numbers are strings.
 */
function customTags(tags: Tags): Tags {
  const kept = tags.filter(
    (t) => typeof t === "string" || !(leftOut.test(t.tag) || ("format" in t && t.format === "TIME")),
  );
  return [...kept, octal, binary];
}

/**
 * All documents of `text` that aren't empty. Two keys of one name are an error here, where kubectl lets the last one win.
 * @param source names the text in errors
 * @throws {HostletError} ManifestInvalid for whatever is wrong with it
 */
export function parseYaml(text: string, source: string): ParsedDocument[] {
  const fail = (line: number, what: string, document?: number) => {
    const where = document === undefined || document === 1 ? source : `${source}, document ${document}`;
    return new HostletError("ManifestInvalid", `${where}, line ${line}: ${what}`);
  };
  const lineAt = (offset: number) => countLines(text, offset);

  const control = controlCharacter(text);
  if (control) throw fail(lineAt(control.index), `holds a control character (${control.name}): this is no text file`);

  // Within JSON, a tab before the first token of a line is white space; YAML's parser would take it for indentation.
  const input = /^\s*[{[]/.test(text) ? text.replace(/^\t+/gm, (tabs) => " ".repeat(tabs.length)) : text;
  const documents = parsed(input, source);

  const result: ParsedDocument[] = [];
  for (const [i, doc] of documents.entries()) {
    const number = i + 1;
    const error = doc.errors[0];
    if (error) throw fail(lineAt(error.pos[0]), describe(error.code, error.message), number);
    if (doc.contents === null) continue;
    const line = lineAt(doc.contents.range[0]);
    visit(doc, {
      Pair(_, pair) {
        if (isCollection(pair.key)) {
          throw fail(lineAt(pair.key.range?.[0] ?? 0), "a map or list can't be the key of a map", number);
        }
      },
    });
    try {
      const value: unknown = doc.toJS({ maxAliasCount: 100 });
      if (value === null || value === undefined) continue;
      const json = JSON.stringify(value, refuseWhatJsonLacks);
      result.push({ value: JSON.parse(json), document: number, line });
    } catch (cause) {
      throw fail(line, message(cause), number);
    }
  }
  return result;
}

function parsed(text: string, source: string) {
  try {
    const documents = parseAllDocuments<ParsedNode>(text, {
      version: "1.1",
      customTags,
      prettyErrors: false,
      logLevel: "error",
    });
    return Array.isArray(documents) ? documents : [];
  } catch (cause) {
    throw new HostletError("ManifestInvalid", `${source}: ${message(cause)}`, { cause });
  }
}

function countLines(text: string, offset: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i !== -1 && i < offset; i = text.indexOf("\n", i + 1)) line++;
  return line;
}

function refuseWhatJsonLacks(key: string, value: unknown): unknown {
  if (typeof value === "number") {
    if (!Number.isFinite(value))
      throw new Error(`${key}: ${value} is no number that Kubernetes can take; quote it if it is a string`);
    if (Number.isInteger(value) && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
      throw new Error(`${key}: the number is too large to be kept exactly; quote it if it is a string`);
    }
  }
  if (halfPair.test(key) || (typeof value === "string" && halfPair.test(value))) {
    throw new Error(`${JSON.stringify(key)}: half of a surrogate pair is no character`);
  }
  return value;
}

/** What to do about it, where the parser's message alone would leave an author guessing. */
function describe(code: string, text: string): string {
  if (code === "TAB_AS_INDENT") return "a tab is used for indentation; YAML wants spaces";
  if (code === "DUPLICATE_KEY") return "a key stands twice in one map; remove one";
  return `not valid YAML: ${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}

function message(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  if (/Excessive alias count/.test(text))
    return "aliases (*name) repeat so much that the document would explode; write it out";
  if (/circular structure/.test(text)) return "an alias (*name) refers to the map or list that it stands in";
  if (cause instanceof RangeError) return "nested too deeply";
  return text;
}

/** The first one that no text has, as YAML sees it: tab, line feed and carriage return are fine. */
function controlCharacter(text: string): { index: number; name: string } | undefined {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if ((code < 32 && code !== 9 && code !== 10 && code !== 13) || code === 127) {
      return { index, name: `\\x${code.toString(16).padStart(2, "0")}` };
    }
  }
  return undefined;
}
