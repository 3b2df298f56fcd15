import { describe, expect, test } from "vitest";
import type { HTTPGetAction } from "../../kube/types.ts";
import { httpRequest, resolvePort } from "./target.ts";

const container = { name: "main", ports: [{ name: "web", containerPort: 8080 }] };
const request = (action: Partial<HTTPGetAction>) =>
  httpRequest({ port: 80, ...action }, container, "10.0.0.1", "agent/1");

describe("a port", () => {
  test.each([
    ["a number is itself", 8080, 8080],
    ["a name is looked up in the container's ports", "web", 8080],
    ["a number in a string is one, too", "9090", 9090],
  ])("%s", (_name, port, expected) => {
    expect(resolvePort(port, container)).toBe(expected);
  });
  test.each([
    ["a name that the container has not is said", "admin", /"admin": container "main" has no port/],
    ["zero is none", 0, /invalid port number: 0/],
    ["65536 is none", 65536, /invalid port number/],
  ])("%s", (_name, port, message) => {
    expect(() => resolvePort(port, container)).toThrow(message);
  });
});

describe("a request", () => {
  const table: Record<string, [Partial<HTTPGetAction>, Partial<ReturnType<typeof httpRequest>>]> = {
    "goes to the pod's address and to / where nothing else is said": [{}, { host: "10.0.0.1", path: "/", tls: false }],
    "goes to the host that the probe names": [{ host: "example.com" }, { host: "example.com" }],
    "uses TLS where the scheme is HTTPS": [{ scheme: "HTTPS" }, { tls: true }],
    "keeps the query": [{ path: "/a?b=c&d" }, { path: "/a?b=c&d" }],
    "loses a fragment": [{ path: "/a#b" }, { path: "/a" }],
    "has a path also where the manifest's does not begin with a slash": [{ path: "healthz" }, { path: "/healthz" }],
    "stays with its host whatever the path looks like": [{ path: "//evil/x" }, { host: "10.0.0.1", path: "//evil/x" }],
    "has nothing in its path that would end the request line": [{ path: "/a b\r\nX: y" }, { path: "/a%20bX:%20y" }],
    "says who asks, and takes anything": [
      {},
      {
        headers: [
          ["User-Agent", "agent/1"],
          ["Accept", "*/*"],
        ],
      },
    ],
    "has the manifest's headers instead of its own, and none that is empty": [
      {
        httpHeaders: [
          { name: "user-agent", value: "me" },
          { name: "Accept", value: "" },
          { name: "X-A", value: "1" },
          { name: "X-A", value: "2" },
        ],
      },
      {
        headers: [
          ["user-agent", "me"],
          ["X-A", "1"],
          ["X-A", "2"],
        ],
      },
    ],
  };
  test.each(Object.entries(table))("%s", (_name, [action, expected]) => {
    expect(request(action)).toMatchObject(expected);
  });

  test("is not made to what is no host", () => {
    expect(() => request({ host: "a\r\nX: y" })).toThrow(/is neither a name nor an address/);
    expect(request({ host: "fe80::1%eth0" }).host).toBe("fe80::1%eth0");
  });

  test.each([
    ["a header whose value has a line break", { name: "X", value: "a\r\nHost: evil" }],
    ["a header whose name is none", { name: "X Y", value: "a" }],
  ])("is not made with %s", (_name, header) => {
    expect(() => request({ httpHeaders: [header] })).toThrow(/is not a header that can be sent/);
  });
});
