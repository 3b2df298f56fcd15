import { describe, expect, it } from "vitest";
import { capabilityMask } from "./capabilities.ts";

describe("the capabilities of a container", () => {
  it.each<[string, Parameters<typeof capabilityMask>, string]>([
    ["are Docker's where its pod says nothing", [undefined, false], "a80425fb"],
    ["are all of a privileged one", [undefined, true], "1ffffffffff"],
    ["are none after drop ALL", [{ add: [], drop: ["ALL"] }, false], "0"],
    ["are what is added after drop ALL", [{ add: ["CHOWN"], drop: ["ALL"] }, false], "1"],
    ["are all but one", [{ add: ["ALL"], drop: ["CHOWN"] }, false], "1fffffffffe"],
    ["are the usual ones and one more", [{ add: ["SYS_TIME"], drop: [] }, false], "aa0425fb"],
    ["lack what is dropped", [{ add: [], drop: ["KILL", "NO_SUCH"] }, false], "a80425db"],
  ])("%s", (_, [demand, privileged], mask) => {
    expect(capabilityMask(demand, privileged)).toBe(mask);
  });
});
