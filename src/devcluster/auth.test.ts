import { describe, expect, it } from "vitest";
import { actingUser, adminUser, issueToken, nodeUser, verifyToken } from "./auth.ts";

describe("a token", () => {
  const secret = Buffer.alloc(32, 7);
  const token = issueToken(secret, nodeUser("n1"));

  it("tells whose it is", () => {
    expect(verifyToken(secret, token)).toEqual({
      username: "system:node:n1",
      groups: ["system:nodes", "system:authenticated"],
    });
  });

  it("is worth nothing when a part of it is another", () => {
    const [head, , mac] = token.split(".");
    const forged = Buffer.from(JSON.stringify({ username: "root", groups: ["system:masters"] })).toString("base64url");
    for (const bad of [
      `${head}.${forged}.${mac}`,
      `${token}x`,
      `${token}.x`,
      token.slice(0, -5),
      "",
      "hostlet..",
      "x",
    ]) {
      expect(verifyToken(secret, bad), bad).toBeUndefined();
    }
    expect(verifyToken(Buffer.alloc(32, 8), token)).toBeUndefined();
  });
});

describe("acting as somebody else", () => {
  it.each([
    [{}, adminUser],
    [{ "impersonate-user": "bob" }, { username: "bob", groups: ["system:authenticated"] }],
    [
      { "impersonate-user": "bob", "impersonate-group": "a, b" },
      { username: "bob", groups: ["a", "b", "system:authenticated"] },
    ],
    [
      { "impersonate-user": "system:serviceaccount:ns:x" },
      {
        username: "system:serviceaccount:ns:x",
        groups: ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"],
      },
    ],
    [{ "impersonate-user": "system:anonymous" }, undefined],
  ])("%j is %j", (headers, user) => expect(actingUser(adminUser, headers)).toEqual(user));
});
