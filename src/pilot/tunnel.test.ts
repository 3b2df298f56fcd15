import { describe, expect, it } from "vitest";
import { parseTunnel, sshArguments } from "./tunnel.ts";

describe("a tunnel's far end", () => {
  it.each([
    ["ssh://me@login.site:2222", { user: "me", host: "login.site", port: 2222 }],
    ["ssh://login", { user: undefined, host: "login", port: undefined }],
    ["ssh://[fd00::1]/", { user: undefined, host: "fd00::1", port: undefined }],
  ])("%s", (text, expected) => expect(parseTunnel(text)).toEqual(expected));

  it.each(["login", "ssh://", "http://login", "ssh://-oProxyCommand=id", "ssh://a b", "ssh://x:0", "ssh://x:99999"])(
    "%s is none, and no option of ssh either",
    (text) => expect(() => parseTunnel(text)).toThrow(/--tunnel/),
  );

  it("is asked for a port that is free, or for the one of before", () => {
    const target = parseTunnel("ssh://me@login:2222");
    const first = sshArguments(target, { bind: "127.0.0.1", port: 0 }, 10250);
    expect(first.slice(-6)).toEqual(["-p", "2222", "-R", "127.0.0.1:0:127.0.0.1:10250", "--", "me@login"]);
    expect(sshArguments(target, { bind: "::", port: 7 }, 10250)).toContain("[::]:7:127.0.0.1:10250");
  });
});
