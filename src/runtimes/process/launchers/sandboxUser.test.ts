import { describe, expect, it } from "vitest";
import { sandboxUser } from "./sandboxUser.ts";

const database = {
  passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102:Web:/srv:/bin/sh\nbroken\n",
  group: "root:x:0:\nwww:x:102:\nlogs:x:4:web,other\n",
};
const root = { uid: 0, gid: 0 };
const user = (...args: Partial<Parameters<typeof sandboxUser>>) =>
  sandboxUser(args[0], args[1], args[2] ?? database, args[3] ?? root);

describe("the user of a container", () => {
  it("is root where nobody says anything", () => {
    expect(user()).toEqual({ uid: 0, gid: 0, groups: [0], home: "/root" });
  });
  it("is the agent on the host's root filesystem", () => {
    expect(user(undefined, undefined, database, { uid: 101, gid: 7 })).toEqual({
      ...{ uid: 101, gid: 7, groups: [4, 7], home: "/srv" },
    });
  });
  it("is the image's, by name, with the groups that it has there", () => {
    expect(user(undefined, "web")).toEqual({ uid: 101, gid: 102, groups: [4, 102], home: "/srv" });
    expect(user(undefined, "web:root")).toMatchObject({ uid: 101, gid: 0, groups: [0, 4] });
    expect(user(undefined, "7:8")).toEqual({ uid: 7, gid: 8, groups: [8], home: "/" });
  });
  it("is what the pod says, before the image", () => {
    expect(user({ uid: 101 }, "7:8")).toMatchObject({ uid: 101, gid: 102 });
    expect(user({ uid: 1000, groups: [5] }, "web")).toEqual({ uid: 1000, gid: 0, groups: [0, 5], home: "/" });
    expect(user({ gid: 9 }, "web")).toMatchObject({ uid: 101, gid: 9 });
  });
  it("that the image names and does not have is said", () => {
    expect(user(undefined, "nobody")).toContain('"nobody" is not in its /etc/passwd');
    expect(user(undefined, "web:none")).toContain('"none" is not in its /etc/group');
  });
});
