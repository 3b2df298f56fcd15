/**
 * The part of Go's text/template that job script templates are made of: fields, `range`, `if`, `else`, `with`, `end`, variables,
 * pipelines, comments, trim markers, and the functions below. Fields have Go's names (`.Pod.Name`, `.Containers`): they are found in the JSON without
 * regard to case, through `metadata` where Go embeds it.
 */
export class TemplateError extends Error {
  override name = "TemplateError";
}

type Node =
  | { type: "text"; text: string }
  | { type: "print"; pipe: string }
  | { type: "block"; kind: "if" | "range" | "with"; pipe: string; body: Node[]; otherwise: Node[] };

interface Scope {
  dot: unknown;
  variables: Map<string, unknown>;
}

/** @throws {TemplateError} */
export function parseTemplate(source: string): (data: unknown) => string {
  const tokens = tokenize(source);
  const nodes = parseNodes(tokens, []);
  if (tokens.length > 0) throw new TemplateError(`unexpected {{${tokens[0]!.text}}}`);
  return (data) => render(nodes, { dot: data, variables: new Map([["$", data]]) });
}

interface Token {
  action: boolean;
  text: string;
}

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trimNext = false;
  while (at <= source.length) {
    const open = source.indexOf("{{", at);
    let text = open < 0 ? source.slice(at) : source.slice(at, open);
    if (trimNext) text = text.trimStart();
    if (open < 0) {
      tokens.push({ action: false, text });
      return tokens;
    }
    const close = source.indexOf("}}", open);
    if (close < 0) throw new TemplateError("unclosed {{");
    let inside = source.slice(open + 2, close);
    if (/^-\s/.test(inside)) {
      text = text.trimEnd();
      inside = inside.slice(1);
    }
    trimNext = /\s-$/.test(inside);
    if (trimNext) inside = inside.slice(0, -1);
    tokens.push({ action: false, text });
    inside = inside.trim();
    if (!inside.startsWith("/*")) tokens.push({ action: true, text: inside });
    at = close + 2;
  }
  return tokens;
}

/** Up to an action that begins with one of `until`, which stays. */
function parseNodes(tokens: Token[], until: string[]): Node[] {
  const nodes: Node[] = [];
  while (tokens.length > 0) {
    const token = tokens[0]!;
    const word = /^\w+/.exec(token.text)?.[0] ?? "";
    if (token.action && until.includes(word)) return nodes;
    tokens.shift();
    if (!token.action) nodes.push({ type: "text", text: token.text });
    else if (word === "if" || word === "range" || word === "with")
      nodes.push(parseBlock(tokens, word, token.text.slice(word.length).trim()));
    else if (word === "end" || word === "else") throw new TemplateError(`unexpected {{${word}}}`);
    else nodes.push({ type: "print", pipe: token.text });
  }
  if (until.length > 0) throw new TemplateError("a block without {{end}}");
  return nodes;
}

function parseBlock(tokens: Token[], kind: "if" | "range" | "with", pipe: string): Node {
  const body = parseNodes(tokens, ["else", "end"]);
  const next = tokens.shift()!;
  if (next.text === "end") return { type: "block", kind, pipe, body, otherwise: [] };
  const chained = /^else\s+(if|with)\s+(.*)$/s.exec(next.text);
  if (chained)
    return { type: "block", kind, pipe, body, otherwise: [parseBlock(tokens, chained[1] as "if", chained[2]!)] };
  const otherwise = parseNodes(tokens, ["end"]);
  tokens.shift();
  return { type: "block", kind, pipe, body, otherwise };
}

function render(nodes: Node[], scope: Scope): string {
  return nodes.map((node) => renderNode(node, scope)).join("");
}

function renderNode(node: Node, scope: Scope): string {
  if (node.type === "text") return node.text;
  if (node.type === "print") {
    const assigned = /^(\$\w+)\s*:?=\s*(.*)$/s.exec(node.pipe);
    if (!assigned) return print(evaluate(node.pipe, scope));
    scope.variables.set(assigned[1]!, evaluate(assigned[2]!, scope));
    return "";
  }
  const named = /^(?:(\$\w+)\s*,\s*)?(\$\w+)\s*:=\s*(.*)$/s.exec(node.pipe);
  const value = evaluate(named?.[3] ?? node.pipe, scope);
  const inner = (dot: unknown, variables: [string | undefined, unknown][]) => {
    const added = variables.filter((pair): pair is [string, unknown] => pair[0] !== undefined);
    return render(node.body, { dot, variables: new Map([...scope.variables, ...added]) });
  };
  if (node.kind === "range") {
    const entries = Array.isArray(value) ? value.map((one, index) => [index, one] as const) : sorted(value);
    if (entries.length === 0) return render(node.otherwise, scope);
    return entries
      .map(([key, one]) =>
        inner(one, [
          [named?.[1], key],
          [named?.[2], one],
        ]),
      )
      .join("");
  }
  if (!truth(value)) return render(node.otherwise, scope);
  return inner(node.kind === "with" ? value : scope.dot, [[named?.[2], value]]);
}

function sorted(value: unknown): [string, unknown][] {
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}

const word = /\s*(\(|\)|\||"(?:\\.|[^"\\])*"|`[^`]*`|[^\s()|]+)/gy;

function evaluate(pipe: string, scope: Scope): unknown {
  const words: string[] = [];
  word.lastIndex = 0;
  for (let found = word.exec(pipe); found; found = word.exec(pipe)) words.push(found[1]!);
  const value = pipeline(words, scope);
  if (words.length > 0) throw new TemplateError(`unexpected ${words[0]}`);
  return value;
}

function pipeline(words: string[], scope: Scope): unknown {
  let value = command(words, scope, []);
  while (words[0] === "|") {
    words.shift();
    value = command(words, scope, [value]);
  }
  return value;
}

function command(words: string[], scope: Scope, last: unknown[]): unknown {
  const first = words[0];
  if (first === undefined) throw new TemplateError("an empty action");
  const call = Object.hasOwn(functions, first) ? functions[first] : undefined;
  if (call) words.shift();
  const operands: unknown[] = [];
  while (words.length > 0 && words[0] !== "|" && words[0] !== ")") operands.push(operand(words, scope));
  if (call) return call(...operands, ...last);
  if (operands.length !== 1 || last.length > 0) throw new TemplateError(`${first} is no function here`);
  return operands[0];
}

function operand(words: string[], scope: Scope): unknown {
  const next = words.shift()!;
  if (next === "(") {
    const value = pipeline(words, scope);
    const end = words.shift();
    if (!end?.startsWith(")")) throw new TemplateError("a ( without )");
    return value;
  }
  if (next.startsWith('"')) return JSON.parse(next);
  if (next.startsWith("`")) return next.slice(1, -1);
  if (/^-?\d+(\.\d+)?$/.test(next)) return Number(next);
  if (next === "true" || next === "false") return next === "true";
  if (next === "nil") return undefined;
  const [root, ...path] = next.split(".");
  if (root === "") return path.reduce<unknown>((value, name) => (name === "" ? value : field(value, name)), scope.dot);
  if (root!.startsWith("$") && scope.variables.has(root!)) return path.reduce(field, scope.variables.get(root!));
  throw new TemplateError(`${next} is not known here`);
}

/** Names of Go's structs that are others in JSON. */
const renamed: Record<string, string> = {
  containers: "container",
  objectmeta: "metadata",
  projectedvolumemaps: "projectedvolumemaps",
};

function field(value: unknown, name: string): unknown {
  if (value === null || typeof value !== "object") return undefined;
  const wanted = name.toLowerCase();
  const find = (object: object, key: string) => Object.entries(object).find(([own]) => own.toLowerCase() === key)?.[1];
  const direct = find(value, wanted) ?? (Object.hasOwn(renamed, wanted) ? find(value, renamed[wanted]!) : undefined);
  if (direct !== undefined) return direct;
  const { metadata } = value as { metadata?: unknown };
  return metadata !== null && typeof metadata === "object" ? find(metadata, wanted) : undefined;
}

function truth(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value !== null && typeof value === "object") return Object.keys(value).length > 0;
  return Boolean(value);
}

/** As Go prints a value: nothing is `<no value>`. */
function print(value: unknown): string {
  if (value === undefined || value === null) return "<no value>";
  if (Array.isArray(value)) return `[${value.map(print).join(" ")}]`;
  if (typeof value === "object")
    return `map[${sorted(value)
      .map(([key, one]) => `${key}:${print(one)}`)
      .join(" ")}]`;
  return String(value);
}

function index(value: unknown, ...keys: unknown[]): unknown {
  return keys.reduce<unknown>(
    (inner, key) =>
      inner === null || typeof inner !== "object" ? undefined : (inner as Record<string, unknown>)[String(key)],
    value,
  );
}

const size = (value: unknown) =>
  typeof value === "string" || Array.isArray(value) ? value.length : sorted(value).length;

const functions: Record<string, (...args: unknown[]) => unknown> = {
  and: (...all) => all.find((one) => !truth(one)) ?? all.at(-1),
  or: (...all) => all.find(truth) ?? all.at(-1),
  not: (one) => !truth(one),
  eq: (first, ...others) => others.some((one) => one === first),
  ne: (a, b) => a !== b,
  lt: (a, b) => Number(a) < Number(b),
  le: (a, b) => Number(a) <= Number(b),
  gt: (a, b) => Number(a) > Number(b),
  ge: (a, b) => Number(a) >= Number(b),
  len: size,
  index,
  print: (...all) => all.map(print).join(""),
  println: (...all) => `${all.map(print).join(" ")}\n`,
  printf: (format, ...all) =>
    String(format).replace(/%[vsdq%]/g, (verb) =>
      verb === "%%" ? "%" : verb === "%q" ? JSON.stringify(all.shift()) : print(all.shift()),
    ),
};
