/** One complete type of a signature: `s`, `a(sv)` with its element in `of`, a struct's fields in `of`. */
export interface DBusType {
  /** A basic type's letter, `v`, `a`, `(` for a struct, `{` for an entry of a dictionary. */
  code: string;
  of: DBusType[];
}

const basic = "ybnqiuxtdsogh";
/** The specification's limits: 255 bytes, 32 arrays and 32 structs deep. */
const [longest, deepest] = [255, 64];

/** @throws {TypeError} where it is no signature */
export function parseSignature(text: string): DBusType[] {
  if (text.length > longest) throw new TypeError("a D-Bus signature is too long");
  let at = 0;
  const one = (depth: number): DBusType => {
    const code = text[at++];
    if (code === undefined || depth > deepest) throw new TypeError(`"${text}" is no D-Bus signature`);
    if (basic.includes(code) || code === "v") return { code, of: [] };
    if (code === "a") return { code, of: [one(depth + 1)] };
    const close = code === "(" ? ")" : code === "{" ? "}" : undefined;
    if (!close) throw new TypeError(`"${text}" is no D-Bus signature`);
    const of: DBusType[] = [];
    while (text[at] !== close) of.push(one(depth + 1));
    at++;
    if (of.length === 0 || (code === "{" && of.length !== 2)) throw new TypeError(`"${text}" is no D-Bus signature`);
    return { code, of };
  };
  const types: DBusType[] = [];
  while (at < text.length) types.push(one(0));
  return types;
}

/** To which multiple of bytes a value of this type begins. */
export function alignmentOf({ code }: DBusType): number {
  if ("ygv".includes(code)) return 1;
  if ("nq".includes(code)) return 2;
  return "xtd({".includes(code) ? 8 : 4;
}
