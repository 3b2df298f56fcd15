import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeVolume } from "./atomicWriter.ts";

let dir: string;
const clock = { now: () => Date.UTC(2026, 10, 20, 17, 5, 9), after: () => () => {} };

beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), "hostlet-writer-")), "volume");
});
afterEach(() => rm(join(dir, ".."), { recursive: true, force: true }));

function write(files: Record<string, string>, mode = 0o644, dirMode = 0o755) {
  const payload = new Map(Object.entries(files).map(([path, text]) => [path, { data: Buffer.from(text), mode }]));
  return writeVolume(dir, payload, { dirMode }, clock);
}
const read = (path: string) => readFile(join(dir, path), "utf8");
/** The names in the volume; the version that `..data` links to as `live`. */
async function names(): Promise<string[]> {
  const live = await readlink(join(dir, "..data"));
  return (await readdir(dir)).map((name) => (name === live ? "live" : name)).sort();
}
const modeOf = async (path: string) => ((await stat(join(dir, path))).mode & 0o7777).toString(8);

describe("the layout", () => {
  it("is the kubelet's: names link into ..data, which links to a directory named by the time", async () => {
    expect(write({ "a.conf": "1", "sub/deep/b": "2" })).toBe(true);
    expect(await readlink(join(dir, "a.conf"))).toBe("..data/a.conf");
    expect(await readlink(join(dir, "sub"))).toBe("..data/sub");
    expect(await readlink(join(dir, "..data"))).toMatch(/^\.\.2026_11_20_17_05_09\.\w{6}$/);
    expect(await names()).toEqual(["..data", "a.conf", "live", "sub"]);
    expect(await read("sub/deep/b")).toBe("2");
  });

  it("has the modes that were asked for, whatever the umask", async () => {
    const umask = process.umask(0o077);
    try {
      write({ "sub/a": "1" }, 0o664, 0o755);
    } finally {
      process.umask(umask);
    }
    expect([await modeOf("."), await modeOf("..data"), await modeOf("sub"), await modeOf("sub/a")]).toEqual([
      "755",
      "755",
      "755",
      "664",
    ]);
  });

  it("may be closed to others", async () => {
    write({ "sub/a": "1" }, 0o400, 0o700);
    expect([await modeOf("."), await modeOf("..data"), await modeOf("sub")]).toEqual(["700", "700", "700"]);
  });

  it("of an empty payload is an empty volume", async () => {
    expect(write({})).toBe(true);
    expect(await names()).toEqual(["..data", "live"]);
    expect(write({})).toBe(false);
  });
});

describe("an update", () => {
  it("replaces all files at once, removes stale names and the old version", async () => {
    write({ keep: "1", gone: "x", "dir/gone": "y", "dir/keep": "z" });
    const before = await readlink(join(dir, "..data"));
    expect(write({ keep: "2", "dir/keep": "z", fresh: "3" })).toBe(true);
    const after = await readlink(join(dir, "..data"));
    expect(after).not.toBe(before);
    expect(await names()).toEqual(["..data", "dir", "fresh", "keep", "live"]);
    expect([await read("keep"), await read("fresh"), await read("dir/keep")]).toEqual(["2", "3", "z"]);
    expect(await readdir(join(dir, "dir"))).toEqual(["keep"]);
  });

  it("writes nothing where the content is the same", async () => {
    write({ a: "1", "b/c": "2" });
    const before = await readlink(join(dir, "..data"));
    expect(write({ "b/c": "2", a: "1" })).toBe(false);
    expect(await readlink(join(dir, "..data"))).toBe(before);
  });

  it.each([
    ["a value changed", { a: "2", "b/c": "2" }],
    ["a file came", { a: "1", "b/c": "2", d: "" }],
    ["a file went", { a: "1" }],
    ["a file went below a name that stays", { a: "1", "b/d": "2" }],
  ])("is noticed: %s", async (_, files) => {
    write({ a: "1", "b/c": "2" });
    expect(write(files)).toBe(true);
  });

  it("turns a file into a directory and back", async () => {
    write({ a: "1" });
    write({ "a/b": "2" });
    expect(await read("a/b")).toBe("2");
    write({ a: "3" });
    expect(await read("a")).toBe("3");
  });

  it("leaves alone what others put there", async () => {
    write({ a: "1" });
    await writeFile(join(dir, "note"), "mine");
    await symlink("/etc", join(dir, "link"));
    write({ a: "2" });
    expect(await names()).toEqual(expect.arrayContaining(["a", "link", "note"]));
  });
});

describe("a writer that was killed", () => {
  it("before it published leaves nothing behind", async () => {
    write({ a: "1" });
    await mkdir(join(dir, "..2026_01_01_00_00_00.aaaaaa"));
    await writeFile(join(dir, "..2026_01_01_00_00_00.aaaaaa", "a"), "half");
    await symlink("..2026_01_01_00_00_00.aaaaaa", join(dir, "..data_tmp"));
    write({ a: "1" });
    expect(await names()).toEqual(["..data", "a", "live"]);
    expect(await read("a")).toBe("1");
  });

  it("at any point of an update is made up for by the next", async () => {
    write({ a: "1", gone: "x" });
    await symlink("..data/never", join(dir, "never"));
    await rm(join(dir, "a"));
    await symlink("nowhere", join(dir, "..data_tmp"));
    write({ a: "2", b: "3" });
    expect(await names()).toEqual(["..data", "a", "b", "live"]);
    expect([await read("a"), await read("b")]).toEqual(["2", "3"]);
  });

  it("whose version is gone is made up for too", async () => {
    write({ a: "1" });
    await rm(join(dir, await readlink(join(dir, "..data"))), { recursive: true });
    expect(write({ a: "1" })).toBe(true);
    expect(await read("a")).toBe("1");
  });
});

it("a reader that goes through ..data never finds a file missing or a mixture", async () => {
  const files = (n: number) => ({ a: `${n}`, b: `${n}` });
  write(files(0));
  const reader = new Worker(readerCode, { eval: true, workerData: { dir } });
  const [ready] = await once(reader, "message");
  expect(ready).toBe("reading");
  for (let n = 1; n <= 300; n++) write(files(n));
  reader.postMessage("stop");
  const [{ whole, broken }] = await once(reader, "message");
  await reader.terminate();
  expect(whole).toBeGreaterThan(0);
  expect(broken).toEqual([]);
});

/** A version that was removed while it was read (ENOENT, and `..data` has moved on) is no mixture. */
const readerCode = `
const { parentPort, workerData: { dir } } = require("node:worker_threads");
const { readFileSync, readlinkSync } = require("node:fs");
let whole = 0, stopping = false;
const broken = [];
function look() {
  const version = readlinkSync(dir + "/..data");
  const read = (name) => readFileSync(dir + "/" + version + "/" + name, "utf8");
  try {
    const [a, b] = [read("a"), read("b")];
    if (a === b) whole++;
    else broken.push([a, b]);
  } catch (error) {
    if (readlinkSync(dir + "/..data") === version) broken.push(error.code);
  }
}
parentPort.once("message", () => { stopping = true; });
function loop() {
  for (let n = 0; n < 100; n++) look();
  if (stopping) parentPort.postMessage({ whole, broken });
  else setImmediate(loop);
}
parentPort.postMessage("reading");
loop();
`;

it("a directory that can't be written is an error, and leaves no version behind", async () => {
  write({ a: "1" });
  expect(() => write({ a: "2", ["x".repeat(300)]: "too long" })).toThrow("ENAMETOOLONG");
  expect(await names()).toEqual(["..data", "a", "live"]);
  expect(await read("a")).toBe("1");
});

it("a link of the volume that was bent is not followed when the old version is removed", async () => {
  const outside = join(dir, "../outside");
  await mkdir(outside);
  await writeFile(join(outside, "precious"), "x");
  write({ a: "1" });
  await rm(join(dir, "..data"));
  await symlink(outside, join(dir, "..data"));
  write({ a: "2" });
  expect(await readdir(outside)).toEqual(["precious"]);
  expect(await read("a")).toBe("2");
});
