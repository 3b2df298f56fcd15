import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HostletError } from "../errors.ts";
import { isExempt, parseProxy, proxyFor } from "./proxy.ts";

const https = new URL("https://api.example.org:6443");
const named = (proxy: ReturnType<typeof proxyFor>) => proxy?.name;

describe("which proxy is used", () => {
  test.each<[string, string | undefined, NodeJS.ProcessEnv, string, string | undefined]>([
    ["none is set", undefined, {}, "https://api:6443", undefined],
    ["HTTPS_PROXY", undefined, { HTTPS_PROXY: "http://p:1" }, "https://api:6443", "http://p:1"],
    ["https_proxy", undefined, { https_proxy: "http://p:1" }, "https://api:6443", "http://p:1"],
    [
      "upper case goes first",
      undefined,
      { https_proxy: "http://l:1", HTTPS_PROXY: "http://u:1" },
      "https://a",
      "http://u:1",
    ],
    ["an empty variable is none", undefined, { HTTPS_PROXY: "", https_proxy: "p:3128" }, "https://a", "http://p:3128"],
    ["HTTP_PROXY is not for https", undefined, { HTTP_PROXY: "http://p:1" }, "https://a", undefined],
    ["HTTP_PROXY is for http", undefined, { HTTP_PROXY: "http://p:1" }, "http://a", "http://p:1"],
    ["NO_PROXY exempts", undefined, { HTTPS_PROXY: "http://p:1", NO_PROXY: "a" }, "https://a", undefined],
    ["loopback is exempt", undefined, { HTTPS_PROXY: "http://p:1" }, "https://127.0.0.1:6443", undefined],
    [
      "proxy-url goes before all",
      "http://k:1",
      { HTTPS_PROXY: "http://p:1", NO_PROXY: "*" },
      "https://a",
      "http://k:1",
    ],
    ["proxy-url holds for loopback", "http://k:1", {}, "https://127.0.0.1", "http://k:1"],
    ["a host without a port", "proxy", {}, "https://a", "http://proxy:80"],
    ["https", "https://p", {}, "https://a", "https://p:443"],
    ["socks5", "socks5://[fd00::1]", {}, "https://a", "socks5://[fd00::1]:1080"],
  ])("%s", (_, proxyUrl, env, server, expected) => {
    expect(named(proxyFor(new URL(server), proxyUrl, env))).toBe(expected);
  });

  test("user and password are decoded, and are not in the name", () => {
    expect(parseProxy("http://u%40x:p%3Aw@p:1", "x")).toEqual({
      kind: "http",
      host: "p",
      port: 1,
      auth: "u@x:p:w",
      name: "http://p:1",
    });
  });

  test.each(["ftp://u:s3cret@p", "http://u:s3cret@", "http://u:s3cret%@p:1", "http://u:s3cret@p:notaport"])(
    "what is no proxy is refused, and %s is not quoted",
    (text) => {
      let message = "";
      try {
        proxyFor(https, undefined, { HTTPS_PROXY: text });
      } catch (error) {
        expect(error).toBeInstanceOf(HostletError);
        message = (error as Error).message;
      }
      expect(message).toMatch(/^HTTPS_PROXY .*has to be like http:/);
      expect(message).not.toContain("s3cret");
    },
  );
});

describe("NO_PROXY", () => {
  test.each<[string, string, boolean]>([
    ["", "localhost", true],
    ["", "127.9.9.9", true],
    ["", "::1", true],
    ["", "example.org", false],
    ["*", "example.org", true],
    ["example.org", "example.org", true],
    ["example.org", "a.example.org", true],
    ["example.org", "notexample.org", false],
    ["EXAMPLE.org", "a.Example.ORG", true],
    [".example.org", "example.org", false],
    [".example.org", "a.example.org", true],
    ["*.example.org", "a.example.org", true],
    ["*.example.org", "example.org", false],
    ["other, , example.org ", "example.org", true],
    ["example.org:6443", "example.org", true],
    ["example.org:443", "example.org", false],
    ["10.0.0.0/8", "10.1.2.3", true],
    ["10.0.0.0/8", "11.1.2.3", false],
    ["10.0.0.0/99", "10.1.2.3", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3:6443", "10.1.2.3", true],
    ["10.1.2.3:1", "10.1.2.3", false],
    ["fd00::/8", "fd00::1", true],
    ["[fd00::1]:6443", "fd00::1", true],
    ["fd00:0::1", "fd00::1", true],
    ["fd00::/8", "10.1.2.3", false],
    ["2.3", "10.1.2.3", false],
    [":6443", "example.org", false],
  ])("%j and %s: %s", (noProxy, host, expected) => {
    expect(isExempt(host, "6443", noProxy)).toBe(expected);
  });
});

describe("whatever is written there,", () => {
  const piece = fc.constantFrom(
    "10.0.0.1",
    "fd00::1%eth0",
    "::1",
    "[",
    "]",
    ":",
    "/",
    "8",
    "%",
    "*",
    ".",
    "a.b",
    ",",
    " ",
  );
  const scribble = fc.oneof(
    fc.string(),
    fc.array(piece).map((pieces) => pieces.join("")),
  );

  test("NO_PROXY is read without an error", () => {
    fc.assert(fc.property(scribble, scribble, (host, noProxy) => typeof isExempt(host, "443", noProxy) === "boolean"));
  });

  test("a proxy is one that can be connected to, or is refused as such", () => {
    fc.assert(
      fc.property(scribble, (text) => {
        try {
          const { host, port } = parseProxy(text, "x");
          return host !== "" && port > 0 && port < 65_536;
        } catch (error) {
          return error instanceof HostletError;
        }
      }),
    );
  });
});
