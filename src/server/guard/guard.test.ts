import type { IncomingMessage } from "node:http";
import { describe, expect, test } from "vitest";
import { silentLogger } from "../../telemetry/log.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { allowing } from "../testing/reviews.ts";
import { attributesOf, type Subresource } from "./attributes.ts";
import { allowedTtlMs, createGuard, deniedTtlMs, tokenTtlMs } from "./guard.ts";
import type { Reviews } from "./reviews.ts";

const bob = { username: "bob", groups: ["ops", "system:authenticated"] };
const hour = 3_600_000;

interface Shown {
  /** The client certificate's subject; undefined: none that the CA signed. */
  subject?: Record<string, string | string[]>;
  until?: number;
  authorization?: string;
}
const requestOf = ({ subject, until = Date.parse("2030-01-01T00:00:00Z"), authorization }: Shown) =>
  ({
    headers: { authorization },
    socket: { authorized: !!subject, getPeerCertificate: () => ({ subject, valid_to: new Date(until).toUTCString() }) },
  }) as unknown as IncomingMessage;

function setUp(rights: Subresource[] = ["proxy"]) {
  const clock = new ManualClock();
  const asked = { token: [] as string[], access: [] as string[] };
  const answers = allowing((user, { subresource }) => user.username !== "nobody" && rights.includes(subresource), {
    "bobs-token": { username: "bob", groups: ["ops"] },
  });
  const reviews: Reviews = {
    token(token) {
      asked.token.push(token);
      return answers.token(token);
    },
    access(user, attributes) {
      asked.access.push(`${user.username} ${attributes.verb} ${attributes.subresource}`);
      return answers.access(user, attributes);
    },
  };
  const guard = createGuard({ reviews, clock, log: silentLogger });
  const ask = (shown: Shown, access?: Subresource[]) => guard.authorize(requestOf(shown), attributesOf("GET", access));
  return { clock, asked, ask, reviews };
}

describe("who asks", () => {
  test("is nobody without a certificate and without a token: 401, and the cluster is not asked", async () => {
    const { ask, asked } = setUp();
    for (const authorization of [
      undefined,
      "",
      "Basic Ym9iOmJvYg==",
      "Bearer",
      "Bearer a b",
      `Bearer ${"x".repeat(20_000)}`,
    ]) {
      expect(await ask({ ...(authorization !== undefined && { authorization }) })).toMatchObject({ status: 401 });
    }
    expect(asked).toEqual({ token: [], access: [] });
  });

  test("is the certificate's CN, and its O's are the groups", async () => {
    const { ask } = setUp();
    expect(await ask({ subject: { CN: "bob", O: "ops" } })).toEqual({ user: bob });
    expect(await ask({ subject: { CN: "bob", O: ["ops", "dev"] } })).toEqual({
      user: { username: "bob", groups: ["ops", "dev", "system:authenticated"] },
    });
  });

  test("is nobody with a certificate without a CN", async () => {
    expect(await setUp().ask({ subject: { O: "ops" } })).toMatchObject({ status: 401 });
  });

  test("is nobody any more when the certificate has run out on an open connection", async () => {
    const { clock } = setUp();
    const guard = createGuard({ reviews: allowing(() => true), clock, log: silentLogger });
    const request = requestOf({ subject: { CN: "bob" }, until: clock.now() + hour });
    expect(await guard.authorize(request, attributesOf("GET"))).toMatchObject({ user: { username: "bob" } });
    clock.advance(hour + 1000);
    expect(await guard.authorize(request, attributesOf("GET"))).toMatchObject({ status: 401 });
  });

  test("is whom the TokenReview names; a token that is nobody's gets 401", async () => {
    const { ask } = setUp();
    expect(await ask({ authorization: "Bearer bobs-token" })).toEqual({ user: bob });
    expect(await ask({ authorization: "bearer bobs-token" })).toEqual({ user: bob });
    expect(await ask({ authorization: "Bearer other" })).toMatchObject({ status: 401 });
  });

  test("is the certificate's user where there is a token, too", async () => {
    const { ask, asked } = setUp();
    expect(await ask({ subject: { CN: "carol" }, authorization: "Bearer bobs-token" })).toMatchObject({
      user: { username: "carol" },
    });
    expect(asked.token).toEqual([]);
  });

  test("is asked again after two minutes, of good tokens and of bad ones", async () => {
    const { ask, asked, clock } = setUp();
    for (const token of ["bobs-token", "other"]) {
      for (let i = 0; i < 3; i++) await ask({ authorization: `Bearer ${token}` });
    }
    expect(asked.token).toEqual(["bobs-token", "other"]);
    clock.advance(tokenTtlMs);
    for (const token of ["bobs-token", "other"]) await ask({ authorization: `Bearer ${token}` });
    expect(asked.token).toHaveLength(4);
  });
});

describe("whether they may", () => {
  test("the fine-grained right is tried first, then proxy", async () => {
    const fine = setUp(["pods"]);
    expect(await fine.ask({ subject: { CN: "bob" } }, ["pods", "proxy"])).toHaveProperty("user");
    expect(fine.asked.access).toEqual(["bob get pods"]);
    const coarse = setUp(["proxy"]);
    expect(await coarse.ask({ subject: { CN: "bob" } }, ["pods", "proxy"])).toHaveProperty("user");
    expect(coarse.asked.access).toEqual(["bob get pods", "bob get proxy"]);
  });

  test("without any of the rights it is 403, which names the user, the verb and the subresources", async () => {
    const { ask } = setUp(["stats"]);
    expect(await ask({ subject: { CN: "bob" } }, ["pods", "proxy"])).toEqual({
      status: 403,
      message: "Forbidden (user=bob, verb=get, resource=nodes, subresource(s)=[pods proxy])",
    });
  });

  test("a yes holds five minutes, a no thirty seconds", async () => {
    const { ask, asked, clock } = setUp();
    const both = async () => {
      await ask({ subject: { CN: "bob" } });
      await ask({ subject: { CN: "nobody" } });
    };
    await both();
    clock.advance(deniedTtlMs);
    await both();
    expect(asked.access).toEqual(["bob get proxy", "nobody get proxy", "nobody get proxy"]);
    clock.advance(allowedTtlMs - deniedTtlMs);
    await both();
    expect(asked.access.slice(3)).toEqual(["bob get proxy", "nobody get proxy"]);
  });

  test("many who ask at once ask the cluster once", async () => {
    const { ask, asked } = setUp();
    await Promise.all(Array.from({ length: 50 }, () => ask({ authorization: "Bearer bobs-token" })));
    expect(asked).toEqual({ token: ["bobs-token"], access: ["bob get proxy"] });
  });

  test("a cluster that can't be asked is 500, is not remembered, and nobody is let in meanwhile", async () => {
    const { ask, reviews } = setUp();
    const access = reviews.access;
    reviews.access = () => Promise.reject(new Error("away"));
    expect(await ask({ subject: { CN: "bob" } })).toMatchObject({ status: 500 });
    reviews.access = access;
    expect(await ask({ subject: { CN: "bob" } })).toHaveProperty("user");
    reviews.token = () => Promise.reject(new Error("away"));
    expect(await ask({ authorization: "Bearer bobs-token" })).toMatchObject({ status: 500 });
  });
});
