import { expect, it } from "vitest";
import { expandHome } from "./compat.ts";

it.each([
  ["~", "/home/u"],
  ["~/data", "/home/u/data"],
  ["/a:~/b:~", "/a:/home/u/b:/home/u"],
  ["--dir=~/x --other ~/y", "--dir=/home/u/x --other /home/u/y"],
  ["$HOME/data", "/home/u/data"],
  [`\${HOME}/data`, "/home/u/data"],
  ["cp $HOME/a $HOME/b", "cp /home/u/a /home/u/b"],
  ["https://host/~user", "https://host/~user"],
  ["~user/x", "~user/x"],
  ["a~b ~~", "a~b ~~"],
  ["$HOMEDIR", "$HOMEDIR"],
  ["$$HOME", "$$HOME"],
  ["", ""],
])("in the compatibility mode the value %j becomes %j", (value, expanded) => {
  expect(expandHome(value, "/home/u")).toBe(expanded);
});

it("without the compatibility mode a value stays as it is", () => {
  expect(expandHome("~/$HOME", undefined)).toBe("~/$HOME");
});

it("takes a home directory as it is, whatever is in its name", () => {
  expect(expandHome("~/x", "/h/$&$1")).toBe("/h/$&$1/x");
});
