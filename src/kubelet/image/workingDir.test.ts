import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hostPathOf, resolveWorkingDir } from "./workingDir.ts";

const mount = (mountPath: string, source: string) => ({ volume: "v", source, mountPath, readOnly: false });

describe("a container's path on this host", () => {
  const mounts = [mount("/data", "/v/data"), mount("/data/in", "/v/in"), mount("stress/job1", "/v/job1")];
  it.each([
    ["/data", "/v/data"],
    ["/data/", "/v/data"],
    ["/data/x/y", "/v/data/x/y"],
    ["/data/in", "/v/in"],
    ["/data/in/x", "/v/in/x"],
    ["/data/inner", "/v/data/inner"],
    ["/data/in/../x", "/v/data/x"],
    ["stress/job1", "/v/job1"],
    ["/stress/job1/x", "/v/job1/x"],
    ["/database", "/database"],
    ["/", "/"],
    ["/data/..", "/"],
    ["stress", "/pod/containers/c/stress"],
    [".", "/pod/containers/c"],
  ])("%s is %s", (path, hostPath) => {
    expect(hostPathOf(path, mounts, "/pod/containers/c")).toBe(hostPath);
  });
});

describe("the working directory", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "hostlet-cwd-"));
    await mkdir(join(dir, "volume/sub"), { recursive: true });
    await writeFile(join(dir, "volume/file"), "");
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it("is the container's own where it asks for none", async () => {
    expect(await resolveWorkingDir(undefined, [], "/pod/containers/c")).toBe("/pod/containers/c");
    expect(await resolveWorkingDir("", [], "/pod/containers/c")).toBe("/pod/containers/c");
  });

  it("may be in a volume, or anywhere on the host", async () => {
    expect(await resolveWorkingDir("/work/sub", [mount("/work", join(dir, "volume"))], dir)).toBe(
      join(dir, "volume/sub"),
    );
    expect(await resolveWorkingDir(join(dir, "volume"), [], "/pod")).toBe(join(dir, "volume"));
  });

  it("must be there, and a directory", async () => {
    const mounts = [mount("/work", join(dir, "volume"))];
    await expect(resolveWorkingDir("/work/none", mounts, dir)).rejects.toMatchObject({
      code: "CreateContainerFailed",
      reason: "CreateContainerError",
      message: `workingDir "/work/none" (${dir}/volume/none) does not exist on this host`,
    });
    await expect(resolveWorkingDir("/work/file", mounts, dir)).rejects.toThrow("is not a directory");
    await expect(resolveWorkingDir("/no/such/dir", [], dir)).rejects.toThrow(
      'workingDir "/no/such/dir" does not exist on this host',
    );
    await expect(resolveWorkingDir("/a\0b", [], dir)).rejects.toThrow("does not exist");
  });
});
