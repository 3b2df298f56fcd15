import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../clock.ts";
import type { HostletError } from "../../errors.ts";
import type { VolumeMount } from "../../kube/types.ts";
import { writeVolume } from "./atomicWriter.ts";
import { type PreparedVolume, resolveMounts } from "./mounts.ts";

let dir: string;
let volumes: Map<string, PreparedVolume>;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "hostlet-mounts-"));
  await mkdir(join(dir, "data/inner"), { recursive: true });
  await writeFile(join(dir, "data/file"), "f");
  await writeFile(join(dir, "outside"), "o");
  const file = { data: Buffer.from("echo"), mode: 0o644 };
  const payload = new Map([
    ["run.sh", file],
    ["sub/x", file],
  ]);
  writeVolume(join(dir, "scripts"), payload, { dirMode: 0o755 }, systemClock);
  volumes = new Map([
    ["data", { path: join(dir, "data"), kind: "emptyDir", readOnly: false }],
    ["scripts", { path: join(dir, "scripts"), kind: "configMap", readOnly: true }],
    ["one-file", { path: join(dir, "outside"), kind: "hostPath", readOnly: false }],
  ]);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const mounts = (volumeMounts: VolumeMount[], variables = {}) =>
  resolveMounts({ name: "c", volumeMounts }, volumes, variables);
async function failure(volumeMounts: VolumeMount[], variables = {}) {
  return (await mounts(volumeMounts, variables).catch((error) => error)) as HostletError;
}
const sourceOf = async (mount: Partial<VolumeMount>, variables = {}) =>
  (await mounts([{ name: "data", mountPath: "/m", ...mount }], variables))[0]?.source;

it("a mount is the volume's path; what hostlet writes is read-only", async () => {
  expect(
    await mounts([
      { name: "data", mountPath: "/data" },
      { name: "data", mountPath: "data/ro", readOnly: true },
      { name: "scripts", mountPath: "stress/job1" },
    ]),
  ).toEqual([
    { volume: "data", source: join(dir, "data"), mountPath: "/data", readOnly: false },
    { volume: "data", source: join(dir, "data"), mountPath: "data/ro", readOnly: true },
    { volume: "scripts", source: join(dir, "scripts"), mountPath: "stress/job1", readOnly: true },
  ]);
});

it("a container without mounts has none", async () => {
  expect(await resolveMounts({ name: "c" }, volumes, {})).toEqual([]);
});

describe("a subPath", () => {
  it("is a directory or a file in the volume", async () => {
    expect(await sourceOf({ subPath: "inner" })).toBe(join(dir, "data/inner"));
    expect(await sourceOf({ subPath: "./inner/" })).toBe(join(dir, "data/inner"));
    expect(await sourceOf({ subPath: "file" })).toBe(join(dir, "data/file"));
    expect(await sourceOf({ subPath: "." })).toBe(join(dir, "data"));
  });

  it("of a ConfigMap is one of its files, through the link that updates swap", async () => {
    const source = await sourceOf({ name: "scripts", subPath: "run.sh" });
    expect(source).toBe(join(dir, "scripts/run.sh"));
    expect(await readFile(source!, "utf8")).toBe("echo");
    expect(await sourceOf({ name: "scripts", subPath: "sub/x" })).toBe(join(dir, "scripts/sub/x"));
  });

  it("that is missing is made, with the volume's mode, as the kubelet makes it", async () => {
    await chmod(join(dir, "data"), 0o770);
    const source = await sourceOf({ subPath: "new/deep" });
    expect(source).toBe(join(dir, "data/new/deep"));
    expect((await stat(source!)).isDirectory()).toBe(true);
    expect((await stat(source!)).mode & 0o7777).toBe(0o770);
  });

  it("may go through a link that stays in the volume", async () => {
    await symlink("inner", join(dir, "data/link"));
    await symlink(join(dir, "data/inner"), join(dir, "data/absolute"));
    expect(await sourceOf({ subPath: "link/new" })).toBe(join(dir, "data/link/new"));
    expect(await sourceOf({ subPath: "absolute" })).toBe(join(dir, "data/absolute"));
    expect(await readdir(join(dir, "data/inner"))).toEqual(["new"]);
  });

  it.each([
    ["../outside", "out"],
    ["..", "out/x"],
    ["/", "out/etc"],
    ["/etc/passwd", "out"],
    ["../data-other", "out/x"],
  ])("never follows a link to %s", async (target, subPath) => {
    await mkdir(join(dir, "data-other"));
    await symlink(target, join(dir, "data/out"));
    const before = await readdir(dir);
    const error = await failure([{ name: "data", mountPath: "/m", subPath }]);
    expect(error).toMatchObject({ code: "CreateContainerFailed", reason: "CreateContainerConfigError" });
    expect(error.message).toBe(
      `failed to prepare subPath "${subPath}" for volumeMount "data" of container "c": it leads out of the volume through a symbolic link`,
    );
    expect(await readdir(dir)).toEqual(before);
  });

  it("never follows a chain of links out, nor a link to nothing", async () => {
    await symlink("second", join(dir, "data/first"));
    await symlink("../outside", join(dir, "data/second"));
    await symlink("nothing", join(dir, "data/dangling"));
    expect((await failure([{ name: "data", mountPath: "/m", subPath: "first" }])).message).toContain("leads out");
    expect((await failure([{ name: "data", mountPath: "/m", subPath: "dangling" }])).message).toContain("to nothing");
  });

  it("can't go through a file", async () => {
    for (const mount of [
      { name: "data", subPath: "file/x" },
      { name: "one-file", subPath: "x" },
    ]) {
      expect((await failure([{ mountPath: "/m", ...mount }])).message).toContain("a part of it is a file");
    }
  });
});

describe("a subPathExpr", () => {
  it("is expanded from the container's variables", async () => {
    expect(await sourceOf({ subPathExpr: "$(POD)/logs" }, { POD: "p1" })).toBe(join(dir, "data/p1/logs"));
  });

  it("that refers to nothing is an error that names the variables", async () => {
    const mount = { name: "data", mountPath: "/m", subPathExpr: "$(B)/$(A)/$(EMPTY)" };
    expect((await failure([mount], { EMPTY: "" })).message).toBe(
      'container "c": subPathExpr "$(B)/$(A)/$(EMPTY)": missing value for A, B, EMPTY',
    );
  });

  it("can't be expanded to a way out", async () => {
    const mount = { name: "data", mountPath: "/m", subPathExpr: "$(A)" };
    expect((await failure([mount], { A: "../outside" })).message).toContain("must not contain '..'");
    const absolute = await failure([mount], { A: "/hunter2" });
    expect(absolute.message).toContain('subPath "$(A)" of volume "data": must not be an absolute path');
    expect(absolute.message).not.toContain("hunter2");
  });
});

describe("what only another pod would mend", () => {
  it.each<[string, VolumeMount[]]>([
    ['cannot find volume "none" to mount', [{ name: "none", mountPath: "/m" }]],
    ['mountPath "" of volume "data": must not be empty', [{ name: "data", mountPath: "" }]],
    ['mountPath "/a/../../b" of volume "data": must not contain \'..\'', [{ name: "data", mountPath: "/a/../../b" }]],
    [
      'mountPath "/m/" must be unique: volumes "data" and "scripts" have it',
      [
        { name: "data", mountPath: "/m" },
        { name: "scripts", mountPath: "/m/" },
      ],
    ],
    [
      'subPath "a/../b" of volume "data": must not contain \'..\'',
      [{ name: "data", mountPath: "/m", subPath: "a/../b" }],
    ],
    ['subPath "/a" of volume "data": must not be an absolute path', [{ name: "data", mountPath: "/m", subPath: "/a" }]],
    [
      'subPath "./..data/run.sh" of volume "scripts": names that begin with \'..\' are internal',
      [{ name: "scripts", mountPath: "/m", subPath: "./..data/run.sh" }],
    ],
  ])("%s", async (message, volumeMounts) => {
    expect(await failure(volumeMounts)).toMatchObject({
      code: "PodInvalid",
      reason: "CreateContainerConfigError",
      message: `container "c": ${message}`,
    });
  });
});
