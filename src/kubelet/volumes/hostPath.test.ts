import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { prepareHostPath } from "./hostPath.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "hostlet-hostpath-"));
  await mkdir(join(dir, "dir"));
  await writeFile(join(dir, "file"), "");
  await symlink("dir", join(dir, "link"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

it.each([
  ["", "dir"],
  ["", "file"],
  ["Directory", "dir"],
  ["Directory", "link"],
  ["DirectoryOrCreate", "dir"],
  ["File", "file"],
  ["FileOrCreate", "file"],
])("type %j takes %s", async (type, name) => {
  expect(await prepareHostPath({ path: join(dir, name), type })).toBe(join(dir, name));
});

it.each([
  ["Directory", "file", "directory"],
  ["Directory", "none", "directory"],
  ["DirectoryOrCreate", "file", "directory"],
  ["File", "dir", "file"],
  ["File", "none", "file"],
  ["FileOrCreate", "dir", "file"],
  ["Socket", "file", "socket file"],
  ["CharDevice", "file", "character device"],
  ["BlockDevice", "none", "block device"],
])("type %j refuses %s", async (type, name, what) => {
  const path = join(dir, name);
  await expect(prepareHostPath({ path, type })).rejects.toMatchObject({
    code: "CreateContainerFailed",
    message: `hostPath type check failed: ${path} is not a ${what}`,
  });
});

it("takes a character device and a socket for what they are", async () => {
  expect(await prepareHostPath({ path: "/dev/null", type: "CharDevice" })).toBe("/dev/null");
  const server = createServer();
  await new Promise<void>((done) => server.listen(join(dir, "sock"), done));
  try {
    expect(await prepareHostPath({ path: join(dir, "sock"), type: "Socket" })).toBe(join(dir, "sock"));
  } finally {
    await new Promise((done) => server.close(done));
  }
});

it.each([
  ["DirectoryOrCreate", true],
  ["", true],
  ["FileOrCreate", false],
])("type %j makes what is missing", async (type, directory) => {
  const path = join(dir, "new");
  await prepareHostPath({ path, type });
  expect((await stat(path)).isDirectory()).toBe(directory);
});

it("makes the directories on the way too, but not for a file", async () => {
  await prepareHostPath({ path: join(dir, "a/b/c"), type: "DirectoryOrCreate" });
  expect((await stat(join(dir, "a/b/c"))).isDirectory()).toBe(true);
  await expect(prepareHostPath({ path: join(dir, "x/y"), type: "FileOrCreate" })).rejects.toThrow(
    `hostPath ${join(dir, "x/y")} does not exist and can't be made: ENOENT`,
  );
});

it.each([
  ["relative/path", "must be an absolute path"],
  ["/a/../b", "must not contain '..'"],
])("the path %s is refused", async (path, problem) => {
  await expect(prepareHostPath({ path })).rejects.toMatchObject({
    code: "PodInvalid",
    message: `invalid HostPath \`${path}\`: ${problem}`,
  });
});

it("an unknown type is refused", async () => {
  await expect(prepareHostPath({ path: dir, type: "Folder" })).rejects.toThrow("Folder is an invalid volume type");
});
