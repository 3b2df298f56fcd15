import { describe, expect, test } from "vitest";
import type { Clock } from "../clock.ts";
import { ApiError, isRetryable, NetworkError, statusToError, toApiError } from "./apiError.ts";
import { backoffMs, retry } from "./retry.ts";

const request = { method: "GET", path: "/api" };
const answered = (code: number, retryAfterSeconds?: number) =>
  new ApiError(request, {
    code,
    reason: "R",
    message: "m",
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });
const broken = (code: string) => new NetworkError(request, "https://s", code, "m");

describe("the wait after a failure", () => {
  test.each<[string, number, unknown, number, number]>([
    ["is at least half the first delay", 1, broken("ECONNRESET"), 0, 100],
    ["is at most the whole of it", 1, broken("ECONNRESET"), 1, 200],
    ["doubles", 3, broken("ECONNRESET"), 1, 800],
    ["stops growing", 100, broken("ECONNRESET"), 1, 30_000],
    ["is not shorter than Retry-After", 1, answered(429, 7), 0, 7_000],
    ["is spread beyond Retry-After", 1, answered(429, 7), 1, 7_100],
    ["is at most five minutes, whatever Retry-After says", 1, answered(429, 999_999), 0, 300_000],
    ["is its own where Retry-After is shorter", 6, answered(429, 1), 1, 6_400],
  ])("%s", (_, failures, error, random, expected) => {
    expect(backoffMs(failures, error, { random: () => random })).toBe(expected);
  });
});

test.each<[unknown, boolean]>([
  [answered(408), true],
  [answered(429), true],
  [answered(500), true],
  [answered(503), true],
  [answered(501), false],
  [answered(400), false],
  [answered(409), false],
  [answered(410), false],
  [broken("ECONNREFUSED"), true],
  [broken("ENOTFOUND"), true],
  [broken("TIMEOUT"), true],
  [broken("TRUNCATED"), true],
  [broken("CERT_HAS_EXPIRED"), false],
  [broken("SELF_SIGNED_CERT_IN_CHAIN"), false],
  [broken("ERR_TLS_CERT_ALTNAME_INVALID"), false],
  [broken("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), false],
  [new TypeError("a bug"), false],
])("%s can be mended by waiting: %s", (error, expected) => {
  expect(isRetryable(error)).toBe(expected);
});

describe("retry", () => {
  function setUp() {
    const waits: number[] = [];
    const clock: Clock = {
      now: () => 0,
      after(ms, callback) {
        waits.push(ms);
        setImmediate(callback);
        return () => {};
      },
    };
    return { waits, options: { clock, signal: new AbortController().signal, random: () => 1 } };
  }
  const failing = (...errors: unknown[]) => {
    let calls = 0;
    return async () => {
      const error = errors[calls++];
      if (error) throw error;
      return calls;
    };
  };

  test("calls until it succeeds, and waits in between", async () => {
    const { waits, options } = setUp();
    const told: unknown[] = [];
    const onRetry = (error: unknown, delayMs: number, failures: number) =>
      told.push([String(error), delayMs, failures]);
    expect(await retry(failing(answered(503), broken("ECONNRESET")), { ...options, onRetry })).toBe(3);
    expect(waits).toEqual([200, 400]);
    expect(told).toEqual([
      ["ApiError: GET /api: 503 R: m", 200, 1],
      ["NetworkError: GET /api at https://s: m", 400, 2],
    ]);
  });

  test("throws what can't be mended at once, and the last error when its tries are used up", async () => {
    const { waits, options } = setUp();
    await expect(retry(failing(answered(403)), options)).rejects.toMatchObject({ code: 403 });
    await expect(
      retry(failing(answered(500), answered(502), answered(503)), { ...options, tries: 2 }),
    ).rejects.toMatchObject({ code: 502 });
    expect(waits).toEqual([200]);
  });

  test("an abort while it waits ends it", async () => {
    const controller = new AbortController();
    const clock: Clock = { now: () => 0, after: () => () => {} };
    const onRetry = () => setImmediate(() => controller.abort(new Error("enough")));
    await expect(retry(failing(answered(500)), { clock, signal: controller.signal, onRetry })).rejects.toThrow(
      "enough",
    );
  });
});

describe("errors of answers", () => {
  test("a Status gives reason, details and the wait that it asks for", () => {
    const status = {
      kind: "Status",
      message: "m",
      reason: "TooManyRequests",
      code: 429,
      details: { retryAfterSeconds: 3 },
    };
    const error = toApiError(request, {
      code: 429,
      contentType: "application/json",
      retryAfter: undefined,
      body: JSON.stringify(status),
    });
    expect(error).toMatchObject({
      code: 429,
      reason: "TooManyRequests",
      retryAfterSeconds: 3,
      details: { retryAfterSeconds: 3 },
    });
    expect(statusToError(request, { code: 410, reason: "Expired" })).toMatchObject({ code: 410, reason: "Expired" });
  });

  test.each(["", "{", "null", '{"kind":"Pod"}', "plain text"])("a body of %j is quoted", (body) => {
    const error = toApiError(request, {
      code: 502,
      contentType: undefined,
      retryAfter: "Fri, 20 Nov 2026 12:00:00 GMT",
      body,
    });
    expect(error).toMatchObject({ code: 502, reason: "InvalidResponse", retryAfterSeconds: undefined });
    expect(error.message).toContain(`no content type): ${body || "empty"}`);
  });
});
