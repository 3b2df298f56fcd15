import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../telemetry/log.ts";
import { RequestObjects } from "./requestObjects.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-objects-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = () => new RequestObjects(dir, silentLogger);
const configMap = (a: string) => ({ metadata: { name: "m", namespace: "default" }, data: { a } });
const pod = (uid: string) => ({ metadata: { uid, name: uid, namespace: "default" } });

test("what came with a pod is there after a restart, for this user alone, until the pod is gone", async () => {
  open().set("u", { configMaps: [configMap("1")], secrets: [], pod: pod("u") });
  expect(statSync(join(dir, "objects", "u.json")).mode & 0o777).toBe(0o600);
  const next = open();
  expect(await next.get("ConfigMap", "default", "m")).toEqual(configMap("1"));
  expect(await next.get("ConfigMap", "other", "m")).toBeUndefined();
  next.remove("u");
  expect(await next.get("ConfigMap", "default", "m")).toBeUndefined();
  expect(readdirSync(join(dir, "objects"))).toEqual([]);
});

test("pods that were accepted come back, whether their provider has written them down or not; those that were to end do not", () => {
  const before = open();
  for (const uid of ["known", "ending", "lost", "ended"])
    before.set(uid, { configMaps: [], secrets: [], pod: pod(uid) });
  for (const uid of ["ending", "ended"]) before.markEnding(uid);
  const after = open();
  expect(
    after
      .settle(new Set(["known", "ending"]))
      .map((one) => one.metadata?.uid)
      .sort(),
  ).toEqual(["known", "lost"]);
  expect(readdirSync(join(dir, "objects")).sort()).toEqual(["ending.json", "known.json", "lost.json"]);
});

test("of two pods that brought the same object the last one counts, and who watches is told", async () => {
  const objects = open();
  const told = new Promise<void>((resolve) =>
    objects.watch("ConfigMap", "default", "m", resolve, new AbortController().signal),
  );
  objects.set("a", { configMaps: [configMap("1")], secrets: [] });
  await told;
  objects.set("b", { configMaps: [configMap("2")], secrets: [] });
  expect((await objects.get("ConfigMap", "default", "m"))?.data).toEqual({ a: "2" });
});
