import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openRunDir } from "./runDir.ts";

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "hostlet-runs-"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

test("runs side by side never get one directory, nor lose what is in theirs while another is removed", async () => {
  const open = new Set<string>();
  async function runs() {
    for (let i = 0; i < 20; i++) {
      const dir = await openRunDir(base);
      expect(open.has(dir.path)).toBe(false);
      open.add(dir.path);
      const files = Array.from({ length: 20 }, (_, n) => join(dir.path, "pods", `${n}`));
      await mkdir(join(dir.path, "pods"), { recursive: true });
      await Promise.all(files.map((file) => writeFile(file, "")));
      expect(files.filter((file) => !existsSync(file))).toEqual([]);
      open.delete(dir.path);
      await dir.remove();
    }
  }
  await Promise.all(Array.from({ length: 6 }, runs));
  expect(readdirSync(base)).toEqual([]);
});

test("what a run left that was killed while it cleaned up is removed by the next", async () => {
  await mkdir(join(base, "0123abcd.removed", "pods"), { recursive: true });
  const dir = await openRunDir(base);
  expect(readdirSync(base)).toEqual([dir.path.slice(base.length + 1)]);
  await dir.remove();
});
