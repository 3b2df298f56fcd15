import { describe, expect, it } from "vitest";
import { cgroupRoots, limitFiles } from "./cgroups.ts";

const v1 = [
  "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
  "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
  "32 25 0:28 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids",
  "33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
].join("\n");
const v2 = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
const all = () => true;

describe("where cgroups can be made", () => {
  const own = "4:memory:/a/b\n3:cpu,cpuacct:/a\n2:pids:/docker/abc/x\n0::/u\n";
  it("is below the own ones of each controller in version 1", () => {
    expect(cgroupRoots(v1, own, all)).toEqual({
      version: 1,
      memory: "/sys/fs/cgroup/memory/a/b",
      cpu: "/sys/fs/cgroup/cpu,cpuacct/a",
      pids: "/sys/fs/cgroup/pids/x",
    });
  });
  it("is below the own one in version 2, where it has the controllers", () => {
    const at = "/sys/fs/cgroup/user.slice/hostlet.service";
    const read = (text: string) => (file: string) => (file === `${at}/cgroup.controllers` ? text : "");
    const ownV2 = "0::/user.slice/hostlet.service\n";
    expect(cgroupRoots(v2, ownV2, all, read("cpu memory pids\n"))).toEqual({ version: 2, dir: at });
    expect(cgroupRoots(v2, ownV2, all, read("pids\n"))).toBeUndefined();
  });
  it("is nowhere without the right to write, or half of it", () => {
    expect(
      cgroupRoots(
        v1,
        own,
        (dir) => !dir.includes("memory"),
        () => "",
      ),
    ).toBeUndefined();
    expect(
      cgroupRoots(
        v2,
        "0::/x\n",
        () => false,
        () => "cpu memory",
      ),
    ).toBeUndefined();
    expect(cgroupRoots("", "")).toBeUndefined();
  });
});

describe("what is written into a container's cgroup", () => {
  const limits = { cpuRequestMillis: 250, cpuLimitMillis: 500, memoryLimitBytes: 1048576 };
  const files = (...args: Parameters<typeof limitFiles>) =>
    limitFiles(...args).map(({ file, value }) => `${file}=${value}`);
  it("is shares, quota and memory", () => {
    expect(files(1, limits)).toEqual([
      "memory.limit_in_bytes=1048576",
      ...["cpu.shares=256", "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000"],
    ]);
    expect(files(2, limits)).toEqual([
      ...["memory.max=1048576", "memory.oom.group=1", "cpu.weight=10", "cpu.max=50000 100000"],
    ]);
  });
  it("is the least share where nothing is asked for, and no limit", () => {
    expect(files(1, {})).toEqual(["cpu.shares=2"]);
    expect(files(2, {})).toEqual(["cpu.weight=1"]);
    expect(files(1, { cpuLimitMillis: 1 })).toContain("cpu.cfs_quota_us=1000");
  });
});
