import { expect, test } from "vitest";
import { parseRights, readAgentRights } from "./agentRights.ts";

const status = (masks: { eff: string; bnd: string; amb: string }, groups = "4 24 100") =>
  `Name:\tnode\nUid:\t0\t0\t0\t0\nGroups:\t${groups} \nCapInh:\t0\nCapPrm:\t${masks.eff}\nCapEff:\t${masks.eff}\nCapBnd:\t${masks.bnd}\nCapAmb:\t${masks.amb}\n`;

test("root passes on what it has and its bounding set allows", () => {
  const { capabilities } = parseRights(status({ eff: "ff", bnd: "c1", amb: "0" }), 0);
  expect([...capabilities]).toEqual(["CHOWN", "SETGID", "SETUID"]);
});

test("anybody else passes on ambient capabilities alone", () => {
  const { capabilities } = parseRights(status({ eff: "ff", bnd: "1ff", amb: "400" }), 1000);
  expect([...capabilities]).toEqual(["NET_BIND_SERVICE"]);
});

test("groups are numbers, and there may be none", () => {
  expect(parseRights(status({ eff: "0", bnd: "0", amb: "0" }), 1).groups).toEqual([4, 24, 100]);
  expect(parseRights(status({ eff: "0", bnd: "0", amb: "0" }, ""), 1).groups).toEqual([]);
});

test("this process is who it is", () => {
  expect(readAgentRights()).toMatchObject({ uid: process.getuid?.(), gid: process.getgid?.() });
});
