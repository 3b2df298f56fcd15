import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseAttemptRecord } from "./attemptRecord.ts";
import { judgeShim, parseClaim } from "./claim.ts";
import { type ExitRecord, formatExit, parseExit, toContainerExit } from "./exits.ts";
import { parseStat } from "./identity.ts";
import { nanosToMs, parseRecord } from "./records.ts";
import { attemptState } from "./recover.ts";

const time = fc.integer({ min: 1, max: 4_000_000_000_000 });
const line = fc.string({ unit: "binary" }).filter((text) => !/[\r\n]/.test(text));
const exit: fc.Arbitrary<ExitRecord> = fc.record(
  {
    kind: fc.constantFrom("exited" as const, "signaled" as const, "error" as const),
    code: fc.nat(255),
    finished: time,
    started: time,
    message: line,
    reason: line,
    step: fc.constantFrom("start" as const, "cwd" as const, "exec" as const),
  },
  { requiredKeys: ["kind", "code", "finished"], noNullPrototype: true },
);

describe("an exit record", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(exit, (record) => {
        expect(parseExit(formatExit(record))).toEqual(record);
      }),
    );
  });

  it("is never half read, and nothing in it makes the reader fail", () => {
    fc.assert(
      fc.property(exit, fc.nat(200), (record, cut) => {
        const text = formatExit(record);
        const found = parseExit(text.slice(0, cut));
        if (found) expect(found.kind).toBe(record.kind);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => void [parseExit(text), parseRecord(text), parseClaim(text)]),
    );
  });

  it.each([
    [
      "v=1\nkind=exited\ncode=0\nstarted=1767323045123999999\nfinished=1767323046000000001\n",
      { exitCode: 0, reason: "Completed", startedAt: 1767323045123, finishedAt: 1767323046000 },
    ],
    [
      "kind=exited\ncode=3\nfinished=1767323046000000001\nfuture=x\n",
      { exitCode: 3, reason: "Error", finishedAt: 1767323046000 },
    ],
    [
      "kind=signaled\ncode=15\nfinished=1767323046000000001\n",
      { exitCode: 143, signal: 15, reason: "Error", finishedAt: 1767323046000 },
    ],
    [
      "kind=error\ncode=2\nstep=exec\nmessage=/x: gone\nfinished=1767323046000000001\n",
      { exitCode: 127, reason: "ContainerCannotRun", message: "exec: /x: gone", finishedAt: 1767323046000 },
    ],
    [
      "kind=error\ncode=13\nfinished=1767323046000000001\n",
      { exitCode: 126, reason: "ContainerCannotRun", message: "exec: error 13", finishedAt: 1767323046000 },
    ],
    [
      "kind=error\ncode=2\nstep=cwd\nmessage=/x: gone\nfinished=1767323046000000001\n",
      { exitCode: 128, reason: "ContainerCannotRun", message: "workingDir: /x: gone", finishedAt: 1767323046000 },
    ],
    [
      "kind=exited\ncode=137\nreason=ContainerStatusUnknown\nmessage=m\nfinished=1767323046000000001\n",
      { exitCode: 137, reason: "ContainerStatusUnknown", message: "m", finishedAt: 1767323046000 },
    ],
  ])("%j is what the status shows", (text, expected) => {
    expect(toContainerExit(parseExit(text) as ExitRecord)).toEqual(expected);
  });

  it.each([
    "",
    "kind=exited\ncode=0\n",
    "kind=odd\ncode=0\nfinished=1767323046000000001\n",
    "kind=exited\ncode=-1\nfinished=1767323046000000001\n",
  ])("%j is none", (text) => expect(parseExit(text)).toBeUndefined());

  it("has times cut off to milliseconds, never rounded up", () => {
    expect(nanosToMs("1767323045123999999")).toBe(1767323045123);
  });
});

describe("a shim", () => {
  const self = parseClaim("pid=1\nstarttime=5\nbootid=b\npidns=7\nhost=h\n");
  it.each([
    ["by=shim\npid=9\nstarttime=3\nbootid=b\npidns=7\nhost=h\n", true, "alive"],
    ["by=shim\npid=9\nstarttime=3\nbootid=b\npidns=7\nhost=h\n", false, "dead"],
    ["by=shim\npid=9\nstarttime=3\nbootid=other\npidns=7\nhost=h\n", true, "otherBoot"],
    ["by=shim\npid=9\nstarttime=3\nbootid=b\npidns=8\nhost=h\n", true, "unseen"],
    ["", true, "otherBoot"],
  ])("of claim %j, process there: %j, is %s", (text, alive, state) => {
    expect(judgeShim(parseClaim(text), self, () => alive)).toBe(state);
  });

  it("is told from others by its start time, whatever its name", () => {
    const numbers = Array.from({ length: 49 }, (_, i) => i + 4).join(" ");
    expect(parseStat(`12 (a) Z (b) S ${numbers}`)).toEqual({ state: "S", startTime: "22" });
    expect(parseStat("")).toBeUndefined();
  });
});

describe("an attempt at recovery", () => {
  it.each([
    [true, undefined, "ended"],
    [true, "shim", "ended"],
    [false, undefined, "undecided"],
    [false, "agent", "neverRan"],
    [false, "shim", "claimed"],
  ] as const)("with an exit file %j and claimed by %s is %s", (hasExit, by, state) => {
    expect(attemptState(hasExit, by && { by })).toBe(state);
  });
});

describe("attempt.json", () => {
  it.each(["", "{", "null", "7", '{"version":2}', '{"version":1,"restartCount":-1}', '{"version":3,"restartCount":1}'])(
    "%j is not one of ours",
    (text) => {
      expect(parseAttemptRecord(text)).toBeUndefined();
    },
  );

  it("of an earlier version tells the restart count, and nothing that exec could use", () => {
    const text = '{"version":1,"restartCount":4,"namespace":"n","podName":"p","dir":"/d"}';
    expect(parseAttemptRecord(text)).toEqual({ restartCount: 4 });
  });
});
