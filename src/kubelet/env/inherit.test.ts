import { expect, test } from "vitest";
import { inheritedEnv } from "./inherit.ts";

const host = { PATH: "/bin", LC_ALL: "C", LC_TIME: "C", HOSTLET_TOKEN: "secret", UNSET: undefined };

test.each<[string, string[], Record<string, string>]>([
  ["only listed names are inherited", ["PATH", "HOME"], { PATH: "/bin" }],
  ["a star at the end stands for any rest", ["LC_*"], { LC_ALL: "C", LC_TIME: "C" }],
  ["a star alone stands for all", ["*"], { PATH: "/bin", LC_ALL: "C", LC_TIME: "C", HOSTLET_TOKEN: "secret" }],
  ["an empty list inherits nothing", [], {}],
])("%s", (_name, list, expected) => {
  expect(inheritedEnv(host, list)).toEqual(expected);
});
