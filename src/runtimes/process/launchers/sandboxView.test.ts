import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostPathIn } from "./sandboxView.ts";

describe("a path in a container", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "hostlet-view-"));
    mkdirSync(join(dir, "root/usr/bin"), { recursive: true });
    mkdirSync(join(dir, "volume/sub"), { recursive: true });
    symlinkSync("usr/bin", join(dir, "root/bin"));
    symlinkSync("/usr/../../../bin", join(dir, "root/up"));
    symlinkSync("round", join(dir, "root/round"));
    symlinkSync("/bin/tool", join(dir, "volume/sub/link"));
    writeFileSync(join(dir, "root/usr/bin/tool"), "");
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  it.each([
    ["is in its root", "/usr/bin/tool", "root/usr/bin/tool"],
    ["follows links within its root", "/bin/tool", "root/usr/bin/tool"],
    ["never leaves its root", "/up/tool", "root/usr/bin/tool"],
    ["never leaves its root by ..", "/../../usr/bin", "root/usr/bin"],
    ["is in a mount where that covers it", "/bin/data/sub", "volume/sub"],
    ["follows links from a mount into its root", "/usr/bin/data/sub/link", "root/usr/bin/tool"],
    ["may be missing", "/no/such", "root/no/such"],
  ])("%s: %s", (_, path, expected) => {
    const mounts = [{ volume: "v", source: join(dir, "volume"), mountPath: "usr/bin/data", readOnly: false }];
    expect(hostPathIn(join(dir, "root"), mounts, path)).toBe(join(dir, expected));
  });

  it("that goes round in circles is nowhere", () => {
    expect(hostPathIn(join(dir, "root"), [], "/round")).toBeUndefined();
  });
});
