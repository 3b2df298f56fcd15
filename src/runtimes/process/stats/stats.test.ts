import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cgroupMount, cgroupPath, readCgroup } from "./cgroup.ts";
import { childrenOf, descendants, kernelUnits, parseFigures, readProcessTable } from "./processTable.ts";
import { SteadyCounter } from "./steadyCounter.ts";

const line = (pid: number, name: string, parent: number) =>
  `${pid} (${name}) S ${parent} 10 10 0 -1 4194304 100 200 0 0 7 3 20 5 20 0 1 0 4242 1000 200 184467`;

describe("a line of /proc/PID/stat", () => {
  test("is read whatever the command is called", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 15 }), (name) => {
        expect(parseFigures(line(12, name, 3))).toEqual({
          pid: 12,
          parent: 3,
          startTime: "4242",
          ticks: 10,
          childTicks: 25,
        });
      }),
    );
  });

  test("that is none gives nothing", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const figures = parseFigures(text);
        expect(figures === undefined || Number.isSafeInteger(figures.ticks)).toBe(true);
      }),
    );
    expect(parseFigures("")).toBeUndefined();
  });
});

test("the table of this host has this process, and its parent", async () => {
  const table = await readProcessTable();
  expect(table.get(process.pid)?.parent).toBe(process.ppid);
  expect(descendants(childrenOf(table), process.ppid)).toContain(process.pid);
});

test("the kernel's units are what getconf says", () => {
  const { pageBytes, ticksPerSecond } = kernelUnits();
  expect(pageBytes % 4096).toBe(0);
  expect(ticksPerSecond).toBeGreaterThan(0);
});

const readings: Record<string, [sums: number[], counter: number[]]> = {
  "a sum that grows is the counter": [
    [1, 2, 5],
    [1, 2, 5],
  ],
  "a sum that falls short once waits until it has come back": [
    [10, 4, 12],
    [10, 10, 12],
  ],
  "a sum that stays short has lost something, which is kept": [
    [10, 4, 6, 7],
    [10, 10, 12, 13],
  ],
  "a loss after a loss": [
    [10, 4, 4, 1, 2],
    [10, 10, 10, 10, 11],
  ],
};

describe("a counter over processes that come and go", () => {
  test.each(Object.entries(readings))("%s", (_name, [sums, expected]) => {
    const counter = new SteadyCounter();
    expect(sums.map((sum) => counter.next(sum))).toEqual(expected);
  });

  test("never runs backwards, and never counts more than there was to lose", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000)), (sums) => {
        const counter = new SteadyCounter();
        const values = sums.map((sum) => counter.next(sum));
        expect(values).toEqual([...values].sort((a, b) => a - b));
        const gains = sums.reduce((all, sum, i) => all + Math.max(0, sum - (sums[i - 1] ?? 0)), 0);
        expect(values.at(-1) ?? 0).toBeLessThanOrEqual(gains);
      }),
    );
  });
});

describe("a cgroup", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "hostlet-cgroup-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const write = (files: Record<string, string>) => {
    mkdirSync(dir, { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  };

  test("tells CPU, memory without idle page cache, and how many processes it holds", () => {
    write({
      "cpu.stat": "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n",
      "memory.current": "10000\n",
      "memory.stat": "anon 4000\nfile 6000\ninactive_file 2500\nactive_file 3500\n",
      "pids.current": "3\n",
    });
    expect(readCgroup(dir)).toEqual({
      cpuNanoseconds: 1_500_000,
      memoryUsageBytes: 10_000,
      memoryWorkingSetBytes: 7500,
      memoryRssBytes: 4000,
      processes: 3,
    });
  });

  test("without the controllers that count tells nothing", () => {
    write({ "cpu.stat": "usage_usec 1500\n" });
    expect(readCgroup(dir)).toBeUndefined();
    expect(readCgroup(join(dir, "gone"))).toBeUndefined();
  });

  test("is found by mountinfo and /proc/PID/cgroup, hybrid hierarchies too", () => {
    const mounts = [
      "25 30 0:22 / /proc rw - proc proc rw",
      "33 32 0:28 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw",
    ];
    expect(cgroupMount(mounts.join("\n"))).toBe("/sys/fs/cgroup/unified");
    expect(cgroupMount(mounts[0]!)).toBeUndefined();
    expect(cgroupPath("4:memory:/a\n0::/user.slice/x.scope\n")).toBe("/user.slice/x.scope");
    expect(cgroupPath("4:memory:/a\n")).toBeUndefined();
  });
});
