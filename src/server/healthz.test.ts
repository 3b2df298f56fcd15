import { expect, test } from "vitest";
import { silentLogger } from "../telemetry/log.ts";
import { startHealthzServer } from "./healthz.ts";

test("says ok on loopback to /healthz, and nothing else", async () => {
  const server = await startHealthzServer(0, silentLogger);
  const get = async (path: string, method = "GET") => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return [response.status, await response.text()];
  };
  expect(await get("/healthz")).toEqual([200, "ok"]);
  expect((await get("/metrics"))[0]).toBe(404);
  expect((await get("/healthz", "POST"))[0]).toBe(404);
  await Promise.all([server.stop(), server.stop()]);
  await expect(get("/healthz")).rejects.toThrow();
});

test("does without the port where somebody has it", async () => {
  const first = await startHealthzServer(0, silentLogger);
  const second = await startHealthzServer(first.port ?? 0, silentLogger);
  expect(second.port).toBeUndefined();
  await second.stop();
  await first.stop();
});
