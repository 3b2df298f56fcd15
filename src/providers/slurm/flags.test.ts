import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatFlag, mergeFlags, parseFlags } from "./flags.ts";
import { shellQuote, shellWords } from "./shellWords.ts";

describe("words of a shell", () => {
  it.each([
    ["--time=1 -N 2", ["--time=1", "-N", "2"]],
    [`--comment="a b" 'c "d' e\\ f`, ["--comment=a b", 'c "d', "e f"]],
    ['"" a""b', ["", "ab"]],
    ["  ", []],
    ['"$HOME \\$ \\n"', ["$HOME $ \\n"]],
  ])("%j is %j", (text, words) => expect(shellWords(text)).toEqual(words));

  it("are none where a quote is left open", () => expect(shellWords("a 'b")).toBeUndefined());

  it("come back as they were quoted, whatever is in them", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), (words) => {
        expect(shellWords(words.map(shellQuote).join(" "))).toEqual(words);
      }),
    );
  });
});

describe("options of sbatch", () => {
  const flags = (text: string) => parseFlags(shellWords(text) ?? []);

  it.each([
    ["long ones with a value behind an equals sign or a space", "--time=10 --qos high", ["--time=10", "--qos=high"]],
    ["short ones by their long names", "-N2 -n 4 -t=5", ["--nodes=2", "--ntasks=4", "--time=5"]],
    ["switches take nothing of what follows", "--exclusive -H --time=1", ["--exclusive", "--hold", "--time=1"]],
    ["a value is never an option", "--contiguous --gres -N 1", ["--contiguous", "--gres", "--nodes=1"]],
  ])("%s", (_, text, expected) => expect(flags(text).flags.map(formatFlag)).toEqual(expected));

  it.each(["--array=1-3", "-a 1", "--wrap=id", "-W", "--uid=0", "--clusters=x", "id", "-", "--", ":", "-é"])(
    "%s is refused, with the reason",
    (text) => {
      const { refused } = flags(text);
      expect(refused.length).toBeGreaterThan(0);
      expect(refused[0]).toMatch(/\w+ \w+/);
    },
  );

  it("what hostlet says itself is left out and told", () => {
    expect(flags("-o out --requeue --job-name=x -p debug")).toEqual({
      flags: [{ name: "partition", value: "debug" }],
      ignored: ["--output", "--requeue", "--job-name"],
      refused: [],
    });
  });

  it("the last of a name wins", () => {
    const merged = mergeFlags(flags("-p a --time=1").flags, flags("--partition=b").flags);
    expect(merged.map(formatFlag)).toEqual(["--time=1", "--partition=b"]);
  });
});
