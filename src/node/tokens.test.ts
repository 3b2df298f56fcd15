import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ServiceAccountTokenRequest } from "../kube/objectSource.ts";
import type { TokenRequest } from "../kube/types.ts";
import { silentLogger } from "../telemetry/log.ts";
import { ManualClock } from "../testing/manualClock.ts";
import { turns } from "../testing/turns.ts";
import { apiError, FakeClient, networkError } from "./testing/fakeClient.ts";
import { Tokens } from "./tokens.ts";

const hour = 3600;
const pod = { namespace: "ns", name: "p", uid: "u1" };
const request: ServiceAccountTokenRequest = { namespace: "ns", name: "builder", pod, expirationSeconds: hour };

let clock: ManualClock;
let client: FakeClient;
let tokens: Tokens;
let pods: AbortController;
let issued: number;
/** What the next requests get in place of a token. */
let failures: Error[];

/** @param ahead by how many seconds the API server's clock is ahead */
const answer = (seconds: number, ahead = 0) => ({
  spec: { audiences: [], expirationSeconds: seconds },
  status: {
    token: `token-${++issued}`,
    expirationTimestamp: new Date(clock.now() + (seconds + ahead) * 1000).toISOString(),
  },
});

beforeEach(() => {
  clock = new ManualClock();
  client = new FakeClient();
  issued = 0;
  failures = [];
  pods = new AbortController();
  client.respond = ({ body }) => failures.shift() ?? answer((body as TokenRequest).spec.expirationSeconds ?? 0);
  tokens = new Tokens({ client, clock, log: silentLogger, random: () => 0 });
});
afterEach(() => {
  pods.abort();
  expect(clock.pending).toBe(0);
});

const get = (more: Partial<ServiceAccountTokenRequest> = {}) => tokens.get({ ...request, ...more }, pods.signal);

test("a token is asked for by TokenRequest, bound to the pod by name and uid", async () => {
  const got = await get({ audiences: ["vault"], expirationSeconds: 600 });
  expect(got).toEqual({
    token: "token-1",
    expiresAt: clock.now() + 600_000,
    refreshAt: clock.now() + 480_000,
  });
  expect(client.calls).toEqual(["POST /api/v1/namespaces/ns/serviceaccounts/builder/token"]);
  expect(client.requests[0]?.body).toEqual({
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: {
      audiences: ["vault"],
      expirationSeconds: 600,
      boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "p", uid: "u1" },
    },
  });
});

describe("when it is renewed:", () => {
  test.each([
    ["after 80 % of its life", 3600, 0, 2880],
    ["up to ten seconds before that, so that not all come at once", 3600, 0.5, 2875],
    ["after a day, however long it holds", 365 * 86_400, 0, 86_400],
    ["after 80 % of ten minutes", 600, 0, 480],
  ])("%s", async (_name, expirationSeconds, random, seconds) => {
    tokens = new Tokens({ client, clock, log: silentLogger, random: () => random });
    expect((await get({ expirationSeconds })).refreshAt).toBe(clock.now() + seconds * 1000);
  });

  test("by the life that the API server gave it, not by what was asked for", async () => {
    client.respond = () => answer(600);
    expect((await get()).refreshAt).toBe(clock.now() + 480_000);
  });

  test.each([-hour, hour])("the same with a clock that is %i s off", async (ahead) => {
    client.respond = () => answer(hour, ahead);
    expect((await get()).refreshAt).toBe(clock.now() + 2_880_000);
  });

  test("never sooner than after a minute", async () => {
    client.respond = () => answer(1);
    expect((await get()).refreshAt).toBe(clock.now() + 60_000);
  });
});

describe("what is kept", () => {
  test("is given again until it has to be renewed", async () => {
    const { refreshAt } = await get();
    clock.advance(refreshAt - clock.now() - 1);
    expect((await get()).token).toBe("token-1");
    clock.advance(1);
    expect((await get()).token).toBe("token-2");
  });

  test("is one for each pod, service account, audience and life", async () => {
    const others: Partial<ServiceAccountTokenRequest>[] = [
      {},
      { pod: { ...pod, uid: "u2" } },
      { name: "default" },
      { audiences: ["a"] },
      { audiences: ["a", "b"] },
      { expirationSeconds: 7200 },
    ];
    for (const more of others) await get(more);
    for (const more of others) await get(more);
    expect(issued).toBe(others.length);
  });

  test("is asked for once by those who come at the same time", async () => {
    const both = await Promise.all([get(), get()]);
    expect(both.map(({ token }) => token)).toEqual(["token-1", "token-1"]);
  });

  test("is forgotten when the pod ends", async () => {
    await get();
    pods.abort();
    pods = new AbortController();
    expect((await get()).token).toBe("token-2");
  });
});

describe("an answer that is no token", () => {
  test("of 403 right after binding is asked for again", async () => {
    failures = [apiError(403, "Forbidden"), apiError(403, "Forbidden")];
    const got = get();
    for (let i = 0; i < 2; i++) {
      await turns();
      clock.advance(400);
    }
    expect((await got).token).toBe("token-1");
  });

  test("of 403 after two seconds is told, with what to look at", async () => {
    client.respond = () => apiError(403, "Forbidden", "no relationship found");
    const got = get().catch((error) => error);
    for (let i = 0; i < 8; i++) {
      await turns();
      clock.advance(400);
    }
    expect(await got).toMatchObject({ code: "ApiFailed" });
    expect((await got).message).toMatch(/^token of ServiceAccount ns\/builder: the API server forbids it to this node/);
  });

  test("fails the first time, and may be asked for again at once", async () => {
    failures = [apiError(404, "NotFound"), networkError()];
    await expect(get()).rejects.toMatchObject({ code: "ApiFailed" });
    await expect(get()).rejects.toMatchObject({ code: "ApiFailed" });
    expect((await get()).token).toBe("token-1");
  });

  test("leaves the old one in use, longer after each failure, until that has expired", async () => {
    const first = await get();
    const start = clock.now();
    client.respond = () => networkError();
    const waits: number[] = [];
    let now = first;
    while (now.refreshAt < first.expiresAt) {
      clock.advance(now.refreshAt - clock.now());
      const next = await get();
      expect(next.token).toBe("token-1");
      waits.push(next.refreshAt - now.refreshAt);
      now = next;
    }
    expect(waits.slice(0, 5)).toEqual([10_000, 20_000, 40_000, 80_000, 150_000]);
    clock.advance(start + hour * 1000 - clock.now());
    await expect(get()).rejects.toMatchObject({ code: "ApiFailed" });
    client.respond = () => answer(hour);
    expect((await get()).token).toBe("token-2");
  });

  test("the agent's end is not one: who waits learns of it", async () => {
    client.respond = () => undefined;
    const got = get();
    pods.abort(new Error("over"));
    await expect(got).rejects.toThrow("over");
    await expect(get()).rejects.toThrow("over");
  });
});
