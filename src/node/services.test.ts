import { expect, test } from "vitest";
import { silentLogger } from "../telemetry/log.ts";
import { Services } from "./services.ts";
import { FakeClient } from "./testing/fakeClient.ts";

const { signal } = new AbortController();
const listOf = (...names: string[]) => ({
  items: names.map((name) => ({ metadata: { name }, spec: { clusterIP: "10.0.0.1", ports: [{ port: 80 }] } })),
});
const names = async (asked: Promise<{ name: string }[]>) => (await asked).map(({ name }) => name);

test("who asks while a list is on its way gets the next one, which all of them share", async () => {
  const client = new FakeClient();
  const services = new Services({ client, log: silentLogger });
  const first = services.of("ns", signal);
  const others = [services.of("ns", signal), services.of("ns", signal)];
  client.requests[0]!.answer(listOf("old"));
  expect(await names(first)).toEqual(["old"]);
  await expect.poll(() => client.requests.length).toBe(2);
  client.requests[1]!.answer(listOf("old", "new"));
  for (const other of others) expect(await names(other)).toEqual(["old", "new"]);
  expect(client.requests.map(({ path }) => path)).toEqual(Array(2).fill("/api/v1/namespaces/ns/services"));
});

test("what can't be listed is what was known, or nothing", async () => {
  const client = new FakeClient();
  const services = new Services({ client, log: silentLogger });
  client.respond = () => new Error("away");
  expect(await services.of("ns", signal)).toEqual([]);
  client.respond = () => listOf("a");
  expect(await names(services.of("ns", signal))).toEqual(["a"]);
  client.respond = () => new Error("away");
  expect(await names(services.of("ns", signal))).toEqual(["a"]);
});
