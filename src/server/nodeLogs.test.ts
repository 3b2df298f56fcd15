import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openNodeLog } from "./nodeLogs.ts";

let dir: string;
let root: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-logs-"));
  root = join(dir, "logs");
  mkdirSync(join(root, "sub"), { recursive: true });
  mkdirSync(join(dir, "logs-of-others"));
  writeFileSync(join(root, "agent.log"), "hello\n");
  writeFileSync(join(root, "sub", "more.log"), "more\n");
  writeFileSync(join(dir, "secret"), "secret\n");
  writeFileSync(join(dir, "logs-of-others", "x"), "secret\n");
  symlinkSync("../secret", join(root, "link"));
  symlinkSync("..", join(root, "up"));
  symlinkSync("sub/more.log", join(root, "inside"));
  execFileSync("mkfifo", [join(root, "fifo")]);
});
afterAll(() => rmSync(dir, { recursive: true }));

async function read(path: string): Promise<string | string[] | undefined> {
  const found = await openNodeLog(root, path);
  if (!found || "names" in found) return found?.names;
  const text = await found.file.readFile("utf8");
  await found.file.close();
  return text;
}

test("files are read, directories are listed, links inside are followed", async () => {
  expect(await read("agent.log")).toBe("hello\n");
  expect(await read("sub/more.log")).toBe("more\n");
  expect(await read("inside")).toBe("more\n");
  expect(await read("sub/")).toEqual(["more.log"]);
  expect(await read("")).toEqual(["agent.log", "fifo", "inside", "link", "sub/", "up"]);
});

test("the parent of the directory is the directory itself", async () => {
  expect(await read("../..")).toEqual(await read(""));
});

test.each([
  ["a link that leads out", "link"],
  ["a directory that leads out", "up/secret"],
  ["the parent's file", "../secret"],
  ["a directory that begins with the same name", "../logs-of-others/x"],
  ["an absolute path", "/etc/passwd"],
  ["a FIFO, which nobody writes to", "fifo"],
  ["NUL", "agent.log\0"],
  ["nothing", "none"],
])("%s is not there", async (_name, path) => {
  expect(await read(path)).toBeUndefined();
});

test("no path leads out", async () => {
  const part = fc.constantFrom("..", ".", "", "up", "link", "sub", "agent.log", "secret", "logs", "/", "%2e%2e");
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
      expect(await read(parts.join("/"))).not.toBe("secret\n");
    }),
  );
});

test("without a directory there is nothing", async () => {
  expect(await openNodeLog(join(dir, "none"), "")).toBeUndefined();
});
