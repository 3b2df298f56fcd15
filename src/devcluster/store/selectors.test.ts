import { describe, expect, it } from "vitest";
import { StatusError } from "../status.ts";
import { matchesLabels, parseFieldSelector, parseLabelSelector } from "./selectors.ts";

describe("a label selector", () => {
  const labels = { app: "web", tier: "front", n: "5", "example.com/x": "y" };
  it.each([
    ["", true],
    ["app=web", true],
    ["app==web,tier=front", true],
    ["app=api", false],
    ["app!=api", true],
    ["missing!=x", true],
    ["app in (web, api)", true],
    ["app in (api)", false],
    ["app notin (api),tier", true],
    ["missing notin (a)", true],
    ["tier", true],
    ["!tier", false],
    ["!missing", true],
    ["n>4", true],
    ["n<5", false],
    ["example.com/x=y", true],
    ["app=", false],
  ])("%s: %s", (text, expected) => {
    expect(matchesLabels(parseLabelSelector(text), labels)).toBe(expected);
  });

  it.each(["app in web", "=x", "a=b=c", "a,,b", "-a"])("refuses %s", (text) => {
    expect(() => parseLabelSelector(text)).toThrow(StatusError);
  });
});

describe("a field selector", () => {
  const fields = { "metadata.name": 1, "spec.nodeName": 1 };

  it("reads equality, inequality and escapes", () => {
    expect(parseFieldSelector("metadata.name=a,spec.nodeName!=b\\,c", fields)).toEqual([
      { field: "metadata.name", negated: false, value: "a" },
      { field: "spec.nodeName", negated: true, value: "b,c" },
    ]);
  });

  it("refuses a field that the kind is not selected by", () => {
    expect(() => parseFieldSelector("spec.foo=1", fields)).toThrow("field label not supported: spec.foo");
  });
});
