import { expect, test } from "vitest";
import type { ContainerSecurity } from "../../contract.ts";
import { asUser, setprivOptions } from "./asUser.ts";

const table: Record<string, [ContainerSecurity | undefined, string]> = {
  "nothing for the agent's own user": [undefined, ""],
  "nothing for what is not setpriv's to do": [{ privileged: true, readOnlyRootFilesystem: true }, ""],
  "all ids": [{ uid: 7, gid: 70, groups: [8, 9] }, "--reuid 7 --regid 70 --groups 8,9"],
  "no groups at all": [{ uid: 7, gid: 70, groups: [] }, "--reuid 7 --regid 70 --clear-groups"],
  "a group alone": [{ gid: 70 }, "--regid 70 --keep-groups"],
  "no new privileges": [{ noNewPrivileges: true }, "--no-new-privs"],
  "root's capabilities by the bounding set": [
    { capabilities: { drop: ["ALL"], add: ["CHOWN"] } },
    "--bounding-set -all,+chown --inh-caps -all --ambient-caps -all",
  ],
  "another user's by the ambient set": [
    { uid: 7, gid: 7, groups: [], capabilities: { drop: [], add: ["NET_BIND_SERVICE"] } },
    "--reuid 7 --regid 7 --clear-groups --bounding-set +net_bind_service --inh-caps -all,+net_bind_service --ambient-caps -all,+net_bind_service",
  ],
};
test.each(Object.entries(table))("%s", (_name, [security, options]) => {
  expect(setprivOptions(security).join(" ")).toBe(options);
});

test("the command itself follows whole, whatever it begins with", () => {
  const { file, argv } = asUser({ noNewPrivileges: true }, { file: "/bin/sh", argv: ["sh", "--reuid", "0"] });
  expect(file).toMatch(/\/setpriv$/);
  expect(argv).toEqual(["setpriv", "--no-new-privs", "--", "/bin/sh", "--reuid", "0"]);
});
