import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Pod, PodStatus } from "../kube/types.ts";
import { silentLogger } from "../telemetry/log.ts";
import { ManualClock } from "../testing/manualClock.ts";
import { turns, until } from "../testing/turns.ts";
import { StatusWriter } from "./statusWriter.ts";
import { apiError, FakeClient, type FakeRequest, networkError } from "./testing/fakeClient.ts";

let clock: ManualClock;
let client: FakeClient;
let writer: StatusWriter;

beforeEach(() => {
  clock = new ManualClock();
  client = new FakeClient();
  writer = new StatusWriter({ client, clock, log: silentLogger, concurrency: 2 });
});
afterEach(() => {
  writer.stop();
  expect(clock.pending).toBe(0);
});

const pod = (n: number) => ({ namespace: "ns", name: `p${n}`, uid: `uid-${n}` });
const tell = (n: number, phase: string, gone = false): PodStatus => {
  const status = { phase };
  writer.set({ pod: pod(n), status, gone });
  return status;
};
const path = (n: number) => `/api/v1/namespaces/ns/pods/p${n}`;
const phases = () => client.requests.map(({ body }) => (body as { status?: PodStatus }).status?.phase ?? "-");
/** Waits for the `n`th request, counted from 1. */
async function request(n: number): Promise<FakeRequest> {
  await until(() => client.requests.length >= n);
  return client.requests[n - 1]!;
}

describe("the status writer, when the pod comes back from the API server,", () => {
  const ready = (status: string) => [{ type: "Ready", status }];
  const seen = (resourceVersion: string, status: string): Pod => ({
    metadata: { ...pod(1), resourceVersion },
    status: { conditions: ready(status) },
  });
  beforeEach(async () => {
    writer.set({ pod: pod(1), status: { phase: "Running", conditions: ready("True") }, gone: false });
    (await request(1)).answer({ metadata: { resourceVersion: "100" } });
    await until(() => writer.pending === 0);
  });

  test.each<[string, Pod, boolean]>([
    ["writes again what a node controller has overwritten", seen("101", "False"), true],
    ["writes again where a condition of ours is missing", { metadata: { ...pod(1), resourceVersion: "101" } }, true],
    ["lets a newer object be that says what we say", seen("101", "True"), false],
    ["lets news be that are older than what was written", seen("99", "False"), false],
    ["lets another pod be", { ...seen("101", "False"), metadata: { ...pod(2), resourceVersion: "101" } }, false],
  ])("%s", async (_name, object, again) => {
    writer.reconcile(object);
    await turns();
    expect(client.requests.length).toBe(again ? 2 : 1);
    if (again) (await request(2)).answer({ metadata: { resourceVersion: "102" } });
    await until(() => writer.pending === 0);
  });
});

describe("the status writer", () => {
  test("writes a status to its subresource, with the UID as precondition", async () => {
    tell(1, "Running");
    const first = await request(1);
    expect(first).toMatchObject({ method: "PATCH", path: `${path(1)}/status`, body: { metadata: { uid: "uid-1" } } });
    expect(writer.pending).toBe(1);
    first.answer({});
    await until(() => writer.pending === 0);
  });

  test("has one request of a pod under way, and after it writes only the latest status", async () => {
    tell(1, "A");
    const first = await request(1);
    tell(1, "B");
    tell(1, "C");
    await turns();
    expect(phases()).toEqual(["A"]);
    first.answer({});
    (await request(2)).answer({});
    await until(() => writer.pending === 0);
    expect(phases()).toEqual(["A", "C"]);
  });

  test("has no more requests under way than it may, and none of a waiting pod's old news", async () => {
    for (const n of [1, 2, 3, 4]) tell(n, "A");
    tell(4, "B");
    await turns();
    expect(client.calls).toEqual([`PATCH ${path(1)}/status`, `PATCH ${path(2)}/status`]);
    (await request(1)).answer({});
    (await request(2)).answer({});
    (await request(3)).answer({});
    (await request(4)).answer({});
    await until(() => writer.pending === 0);
    expect(phases()).toEqual(["A", "A", "A", "B"]);
  });

  test("does not write again what it has written", async () => {
    client.respond = () => ({});
    const status = tell(1, "Running");
    await until(() => writer.pending === 0);
    writer.set({ pod: pod(1), status, gone: false });
    await until(() => writer.pending === 0);
    expect(client.requests).toHaveLength(1);
  });

  test.each([
    ["500", apiError(500, "InternalError")],
    ["429", apiError(429, "TooManyRequests")],
    [
      "409 of two writers at once",
      apiError(409, "Conflict", "the object has been modified; please apply your changes"),
    ],
    ["403", apiError(403, "Forbidden")],
    ["a reset", networkError("ECONNRESET")],
  ])("tries again after %s, later each time, with the latest status", async (_name, error) => {
    tell(1, "A");
    const waits: number[] = [];
    for (let n = 1; n <= 4; n++) {
      (await request(n)).answer(error);
      await until(() => clock.pending === 1);
      expect(writer.pending).toBe(1);
      waits.push(clock.nextIn!);
      clock.advance(clock.nextIn!);
    }
    expect(waits.every((ms, i) => ms >= 100 * 2 ** i && ms <= 200 * 2 ** i)).toBe(true);
    (await request(5)).answer({});
    await until(() => writer.pending === 0);
    expect(phases()).toEqual(["A", "A", "A", "A", "A"]);
  });

  test("tries one pod at a time while the API server can't be reached, every few seconds, and all once it can", async () => {
    for (const n of [1, 2, 3, 4]) tell(n, "A");
    await until(() => client.requests.length === 2);
    for (const n of [1, 2]) (await request(n)).answer(networkError("ECONNREFUSED"));
    for (let n = 3; n <= 12; n++) {
      await until(() => clock.pending === 1);
      expect([client.requests.length, writer.pending]).toEqual([n - 1, 4]);
      expect(clock.nextIn).toBeLessThanOrEqual(4_000);
      clock.advance(clock.nextIn!);
      if (n < 12) (await request(n)).answer(networkError("ECONNREFUSED"));
    }
    client.respond = () => ({});
    (await request(12)).answer({});
    await until(() => writer.pending === 0);
    expect(new Set(client.calls.slice(11)).size).toBe(4);
    expect(client.calls).toHaveLength(15);
  });

  test("takes any answer for a sign that the API server is back", async () => {
    for (const n of [1, 2]) tell(n, "A");
    await until(() => client.requests.length === 2);
    (await request(1)).answer(networkError("ECONNREFUSED"));
    await until(() => clock.pending === 1);
    (await request(2)).answer(apiError(404, "NotFound"));
    (await request(3)).answer({});
    await until(() => writer.pending === 0);
    expect(client.calls[2]).toBe(client.calls[0]);
  });

  test("does not let news wait for the back-off of what they replace", async () => {
    tell(1, "A");
    (await request(1)).answer(apiError(500, "InternalError"));
    await until(() => clock.pending === 1);
    tell(1, "B");
    (await request(2)).answer({});
    await until(() => writer.pending === 0);
    expect(phases()).toEqual(["A", "B"]);
    expect(clock.pending).toBe(0);
  });

  test("waits as long as the server asks", async () => {
    tell(1, "A");
    const busy = apiError(429, "TooManyRequests");
    Object.assign(busy, { retryAfterSeconds: 7 });
    (await request(1)).answer(busy);
    await until(() => clock.pending === 1);
    expect(clock.nextIn).toBeGreaterThanOrEqual(7000);
  });

  test.each([
    ["404", apiError(404, "NotFound")],
    [
      "409 for the UID",
      apiError(409, "Conflict", "Precondition failed: UID in precondition: a, UID in object meta: b"),
    ],
    ["422 for the UID", apiError(422, "Invalid", "metadata.uid: Invalid value: field is immutable")],
  ])("drops the pod after %s: it is no longer the one that was meant", async (_name, error) => {
    tell(1, "A");
    (await request(1)).answer(error);
    await until(() => writer.pending === 0);
    expect(clock.pending).toBe(0);
  });

  test("does not take another 422 for the end of the pod", async () => {
    tell(1, "A");
    (await request(1)).answer(apiError(422, "Invalid", "status.podIP: Invalid value"));
    await until(() => clock.pending === 1);
  });
});

describe("a pod that is gone", () => {
  test("is written once more, and its object removed with grace 0 and its UID as precondition", async () => {
    client.respond = () => ({});
    tell(1, "Failed", true);
    await until(() => writer.pending === 0);
    expect(client.calls).toEqual([`PATCH ${path(1)}/status`, `DELETE ${path(1)}`]);
    expect(client.requests[1]?.body).toEqual({ gracePeriodSeconds: 0, preconditions: { uid: "uid-1" } });
  });

  test("without a status is only removed", async () => {
    client.respond = () => ({});
    writer.set({ pod: pod(1), status: {}, gone: true });
    await until(() => writer.pending === 0);
    expect(client.calls).toEqual([`DELETE ${path(1)}`]);
  });

  test("whose status stands already is only removed", async () => {
    client.respond = () => ({});
    const status = tell(1, "Failed");
    await until(() => writer.pending === 0);
    writer.set({ pod: pod(1), status, gone: true });
    await until(() => writer.pending === 0);
    expect(client.calls).toEqual([`PATCH ${path(1)}/status`, `DELETE ${path(1)}`]);
  });

  test("is removed although it went while its status was being written", async () => {
    tell(1, "Running");
    const first = await request(1);
    tell(1, "Failed", true);
    client.respond = () => ({});
    first.answer({});
    await until(() => writer.pending === 0);
    expect(client.calls.at(-1)).toBe(`DELETE ${path(1)}`);
    expect(phases()).toEqual(["Running", "Failed", "-"]);
  });

  test("is removed later where that failed, without its status being written again", async () => {
    let deletes = 0;
    client.respond = ({ method }) => (method === "DELETE" && ++deletes < 3 ? apiError(500, "InternalError") : {});
    tell(1, "Failed", true);
    for (let n = 1; n <= 2; n++) {
      await until(() => clock.pending === 1);
      clock.advance(clock.nextIn!);
    }
    await until(() => writer.pending === 0);
    expect(client.calls.map((call) => call.split(" ")[0])).toEqual(["PATCH", "DELETE", "DELETE", "DELETE"]);
  });

  test("and recreated under its name is not removed", async () => {
    client.respond = ({ method }) =>
      method === "DELETE" ? apiError(409, "Conflict", "Precondition failed: UID in precondition: a, ...") : {};
    tell(1, "Failed", true);
    await until(() => writer.pending === 0);
    expect(client.requests).toHaveLength(2);
  });
});

describe("forgetting a pod", () => {
  test("writes nothing more of it, whether it waits, is being retried or under way", async () => {
    tell(1, "A");
    tell(2, "A");
    tell(3, "A");
    (await request(2)).answer(apiError(500, "InternalError"));
    await until(() => client.requests.length === 3);
    for (const n of [1, 2, 3]) writer.forget(`uid-${n}`);
    (await request(1)).answer(apiError(500, "InternalError"));
    (await request(3)).answer({});
    await until(() => writer.pending === 0);
    expect(clock.pending).toBe(0);
    expect(client.requests).toHaveLength(3);
  });

  test("that nobody knows is nothing", () => {
    writer.forget("uid-9");
    expect(writer.pending).toBe(0);
  });
});

describe("flush", () => {
  test("resolves when everything is written, news that came meanwhile included", async () => {
    let done = false;
    tell(1, "A");
    const flushed = writer.flush(new AbortController().signal).then(() => {
      done = true;
    });
    const first = await request(1);
    tell(1, "B");
    first.answer({});
    const second = await request(2);
    await turns();
    expect(done).toBe(false);
    second.answer({});
    await flushed;
    expect(writer.pending).toBe(0);
  });

  test("gives up when its signal aborts, and at once where nothing is to do or the writer has stopped", async () => {
    await writer.flush(new AbortController().signal);
    tell(1, "A");
    const abort = new AbortController();
    const flushed = writer.flush(abort.signal);
    abort.abort();
    await flushed;
    expect(writer.pending).toBe(1);
    const other = writer.flush(new AbortController().signal);
    writer.stop();
    await other;
  });
});

test("stop breaks off what is under way, drops what waits, and takes nothing more", async () => {
  for (const n of [1, 2, 3]) tell(n, "A");
  await request(2);
  writer.stop();
  writer.stop();
  await until(() => writer.pending === 0);
  tell(4, "A");
  await turns();
  expect(client.requests).toHaveLength(2);
});
