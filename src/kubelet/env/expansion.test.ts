import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expand, expandArgs, lookupIn } from "./expansion.ts";

const variables = { VAR_A: "A", VAR_B: "B", VAR_C: "C", VAR_REF: "$(VAR_A)", VAR_EMPTY: "", "a.b-c": "dots" };

describe("$(NAME)", () => {
  it.each([
    ["$(VAR_A)", "A"],
    ["___$(VAR_B)___", "___B___"],
    ["$(VAR_A)$(VAR_B)$(VAR_C)", "ABC"],
    ["$(a.b-c)", "dots"],
    ["foo$(VAR_EMPTY)bar", "foobar"],
    // a value is not expanded again
    ["$(VAR_REF)", "$(VAR_A)"],
    // unknown names stay
    ["$(VAR_DNE)", "$(VAR_DNE)"],
    ["$(toString)", "$(toString)"],
    ["$()", "$()"],
    // $$ escapes
    ["$$(VAR_A)", "$(VAR_A)"],
    ["$$$(VAR_A)", "$A"],
    ["$$$$(VAR_A)", "$$(VAR_A)"],
    ["foo$$bar", "foo$bar"],
    // what is no reference stays
    ["$VAR_A", "$VAR_A"],
    [`\${VAR_A}`, `\${VAR_A}`],
    ["foo$", "foo$"],
    ["$(VAR_A", "$(VAR_A"],
    ["$($$", "$($"],
    ["$VAR_A)", "$VAR_A)"],
    ["$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"],
    ["$(VAR_A))", "A)"],
    ["$ $(VAR_A)", "$ A"],
    ["\n", "\n"],
    ["", ""],
  ])("%j becomes %j", (text, expanded) => {
    expect(expand(text, lookupIn(variables))).toBe(expanded);
  });

  it("leaves a text as it was in which every $ was doubled", () => {
    const text = fc.string({ unit: fc.constantFrom("$", "(", ")", "V", "é") });
    fc.assert(fc.property(text, (value) => expand(value.replaceAll("$", "$$$$"), () => "!") === value));
  });

  it("agrees with a scanner that goes character by character, as Kubernetes describes it", () => {
    const text = fc.string({ unit: fc.constantFrom("$", "$(", ")", "(", "V", "W", " ", "\n"), maxLength: 30 });
    const lookup = lookupIn({ V: "v$(V)", W: "" });
    fc.assert(fc.property(text, (value) => expand(value, lookup) === scan(value, lookup)));
  });

  it("takes a megabyte of unclosed references as quickly as any text", () => {
    const text = "$(".repeat(500_000);
    expect(expand(text, () => "!")).toBe(text);
  });
});

function scan(text: string, lookup: (name: string) => string | undefined): string {
  if (text === "") return "";
  if (text.startsWith("$$")) return `$${scan(text.slice(2), lookup)}`;
  const end = text.indexOf(")");
  if (text.startsWith("$(") && end >= 0) {
    const name = text.slice(2, end);
    return (lookup(name) ?? `$(${name})`) + scan(text.slice(end + 1), lookup);
  }
  return text[0] + scan(text.slice(1), lookup);
}

describe("command and arguments", () => {
  it("are expanded each by itself", () => {
    const container = { command: ["echo", "$(VAR_A)"], args: ["$(VAR_A) $(VAR_B)", "$$(VAR_A)"] };
    expect(expandArgs(container, variables)).toEqual({ command: ["echo", "A"], args: ["A B", "$(VAR_A)"] });
  });

  it("are empty where there are none", () => {
    expect(expandArgs({}, variables)).toEqual({ command: [], args: [] });
  });
});
