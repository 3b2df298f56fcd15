import { describe, expect, test } from "vitest";
import { walltimeLabels, walltimeOf, walltimeState } from "./walltime.ts";

const start = 1_000_000;
const at = (seconds: number) => start + seconds * 1000;

describe("walltime", () => {
  test("0 seconds are no limit, and give no labels", () => {
    expect(walltimeOf(0, undefined, start)).toBeUndefined();
    expect(walltimeLabels(undefined, start)).toEqual({});
  });

  test.each<[string, number, number | undefined, number]>([
    ["is 30 s before the end of a long time", 3600, undefined, 3570],
    ["is a quarter of a short time before its end", 60, undefined, 45],
    ["is as long before the end as it was asked to be", 3600, 300, 3300],
  ])("the drain %s", (_name, seconds, margin, drainAt) => {
    const walltime = walltimeOf(seconds, margin, start)!;
    expect(walltimeState(walltime, start).drainAt).toBe(at(drainAt));
    expect(walltimeState(walltime, at(drainAt) - 1).draining).toBe(false);
    expect(walltimeState(walltime, at(drainAt)).draining).toBe(true);
  });

  test.each<[string, number, string]>([
    ["is the whole time at the start", 0, "60"],
    ["counts whole seconds down", 12.4, "47"],
    ["ends at 0", 60, "0"],
    ["never falls below 0", 90, "0"],
  ])("the label jiriaf.alivetime %s", (_name, elapsed, alive) => {
    expect(walltimeLabels(walltimeOf(60, undefined, start), at(elapsed))).toEqual({
      "jiriaf.walltime": "60",
      "jiriaf.alivetime": alive,
    });
  });
});
