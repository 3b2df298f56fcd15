import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../testing/manualClock.ts";
import { countBytes, DiskUsage } from "./usage.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-usage-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

test("counts what is in the tree, and nothing that a link leads to", async () => {
  mkdirSync(join(dir, "a/b"), { recursive: true });
  writeFileSync(join(dir, "a/b/file"), Buffer.alloc(100_000, 1));
  symlinkSync("/", join(dir, "a/root"));
  const bytes = (await countBytes(dir)) ?? 0;
  expect(bytes).toBeGreaterThanOrEqual(100_000);
  expect(bytes).toBeLessThan(1_000_000);
});

test("a directory that can't be read has no figure", async () => {
  const usage = new DiskUsage(new ManualClock());
  usage.of([join(dir, "none")]);
  await expect(countBytes(join(dir, "none"))).rejects.toThrow(/ENOENT/);
  expect(usage.of([join(dir, "none")]).size).toBe(0);
});

test("who asks gets what is known, and it is counted again after a minute", async () => {
  const clock = new ManualClock();
  const usage = new DiskUsage(clock);
  const known = () => usage.of([dir]).get(dir);
  expect(known()).toBeUndefined();
  await expect.poll(known).toBe(0);
  writeFileSync(join(dir, "file"), Buffer.alloc(100_000, 1));
  expect(known()).toBe(0);
  clock.advance(60_000);
  await expect.poll(known).toBeGreaterThan(0);
  usage.stop();
});
