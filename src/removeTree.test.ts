import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { removeTreeSync, removeUpTo } from "./removeTree.ts";

let root: string;
let tree: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hostlet-remove-"));
  tree = join(root, "tree");
  mkdirSync(join(tree, "a/b"), { recursive: true });
  for (const name of ["1", "a/2", "a/b/3"]) writeFileSync(join(tree, name), "");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("removes everything in a directory, and the directory", () => {
  removeTreeSync(tree);
  expect(readdirSync(root)).toEqual([]);
});

test("removes a symlink, and leaves what it points to", () => {
  mkdirSync(join(root, "thesis"));
  writeFileSync(join(root, "thesis/chapter"), "");
  symlinkSync(join(root, "thesis"), join(tree, "a/link"));
  removeTreeSync(tree);
  expect(existsSync(join(root, "thesis/chapter"))).toBe(true);
  expect(existsSync(tree)).toBe(false);
});

test("what is not there is removed already", () => {
  expect(() => removeTreeSync(join(root, "nothing"))).not.toThrow();
});

test("stops at the number of entries that it was given, and says so", () => {
  expect(removeUpTo(tree, 3)).toBe(0);
  expect(existsSync(tree)).toBe(true);
  expect(removeUpTo(tree, 100)).toBeGreaterThan(0);
  expect(existsSync(tree)).toBe(false);
});

test("what can't be removed is an error", () => {
  writeFileSync(join(root, "file"), "");
  expect(() => removeTreeSync(join(root, "file"))).toThrow("ENOTDIR");
});
