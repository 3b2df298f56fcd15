import { describe, expect, it } from "vitest";
import { nodesToSubmit, type PilotJob, parsePilots, parseTimeLeft } from "./keep.ts";

const minute = 60_000;
const job = (state: string, nodes: number, leftMs?: number): PilotJob => ({ id: "1", state, nodes, leftMs });

describe("a pilot that keeps nodes alive", () => {
  it.each<[string, PilotJob[], number]>([
    ["asks for all at the start", [], 4],
    ["for none while they run", [job("RUNNING", 4, 60 * minute)], 0],
    ["for none while they wait", [job("PENDING", 4)], 0],
    ["for new ones before the old ones end", [job("RUNNING", 4, 5 * minute)], 4],
    ["not again while the new ones wait", [job("RUNNING", 4, 5 * minute), job("PENDING", 4)], 0],
    ["for those that are missing", [job("RUNNING", 1, 60 * minute), job("PENDING", 2)], 1],
    ["for those that are over or ending", [job("COMPLETED", 4), job("COMPLETING", 4), job("CANCELLED", 4)], 4],
    ["for none where there is no time limit", [job("RUNNING", 4, undefined)], 0],
    ["never for less than none", [job("RUNNING", 9, 60 * minute)], 0],
  ])("%s", (_, jobs, expected) => expect(nodesToSubmit(jobs, 4, 10 * minute)).toBe(expected));
});

describe("what squeue says of pilots", () => {
  it.each([
    ["1-02:03:04", 93_784_000],
    ["02:03:04", 7_384_000],
    ["3:04", 184_000],
    ["UNLIMITED", undefined],
    ["NOT_SET", undefined],
    ["INVALID", undefined],
  ])("%s is %s ms", (text, expected) => expect(parseTimeLeft(text)).toBe(expected));

  it("only jobs of hostlet's count", () => {
    const text =
      "7|RUNNING|4|1:00:00|5:00|None|hostlet-lab|hostlet-pilot:lab\n8|RUNNING|1|1:00|1:00|None|x|other\n9|PENDING|2|2:00|0:00|Priority|n|hostlet-pilot:a\n";
    expect(parsePilots(text)).toEqual([
      { id: "7", state: "RUNNING", nodes: 4, leftMs: 3_600_000, name: "lab", reason: "None", elapsed: "5:00" },
      { id: "9", state: "PENDING", nodes: 2, leftMs: undefined, name: "a", reason: "Priority", elapsed: "0:00" },
    ]);
  });
});
