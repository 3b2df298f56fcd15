import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { base64 } from "../volumes/testObjects.ts";
import { credentialsFor, credentialsIn } from "./credentials.ts";
import { registryOf } from "./imageName.ts";

describe("credentials of a Secret", () => {
  const login = { username: "ann", password: "a:b" };
  test.each([
    ["dockerconfigjson with auth", { ".dockerconfigjson": { auths: { r: { auth: base64("ann:a:b") } } } }],
    ["dockerconfigjson with fields", { ".dockerconfigjson": { auths: { r: login } } }],
    ["the older dockercfg", { ".dockercfg": { r: { auth: base64("ann:a:b"), email: "x" } } }],
  ])("%s", (_what, content) => {
    const data = Object.fromEntries(Object.entries(content).map(([k, v]) => [k, base64(JSON.stringify(v))]));
    expect(credentialsIn({ data })).toEqual([{ registry: "r", ...login }]);
  });

  test("are none where it can't be read, whatever stands there", () => {
    expect(credentialsIn({})).toEqual([]);
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const data = { ".dockerconfigjson": base64(text), ".dockercfg": base64(text) };
        for (const { registry } of credentialsIn({ data })) expect(typeof registry).toBe("string");
      }),
    );
  });
});

describe("credentials for an image", () => {
  test.each([
    ["registry.example/team/app:1", ["registry.example/team", "registry.example", "*.example"]],
    ["registry.example/other", ["registry.example", "*.example"]],
    ["registry.example:5000/app", ["registry.example:5000"]],
    ["busybox", ["https://index.docker.io/v1/", "docker.io"]],
    ["docker.io/library/busybox@sha256:12", ["https://index.docker.io/v1/", "docker.io"]],
    ["a.b.example/app", []],
    ["localhost/app", []],
  ])("%s", (image, expected) => {
    const all = [
      ...["*.example", "registry.example", "https://registry.example/team/", "https://registry.example:5000/v2/"],
      ...["https://index.docker.io/v1/", "docker.io"],
    ].map((registry) => ({ registry, username: "u", password: "p" }));
    const plain = (registry: string) => registry.replace(/^https:\/\/(registry[^/]*(?:\/team)?).*$/, "$1");
    expect(credentialsFor(image, all).map(({ registry }) => plain(registry))).toEqual(expected);
  });
});

test.each([
  ["busybox", "docker.io", "library/busybox"],
  ["team/app:1", "docker.io", "team/app"],
  ["index.docker.io/team/app", "docker.io", "team/app"],
  ["localhost:5000/a/b:tag@sha256:12", "localhost:5000", "a/b"],
  ["registry.example/app", "registry.example", "app"],
])("%s is in registry %s at %s", (image, host, path) => {
  expect(registryOf(image)).toEqual({ host, path });
});
