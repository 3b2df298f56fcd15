import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Volume } from "../../kube/types.ts";
import { memoryOptions, mountMemory, unmountBelow } from "./memoryVolume.ts";

const volume = (sizeLimit?: string): Volume => ({
  name: "v",
  emptyDir: { medium: "Memory", ...(sizeLimit && { sizeLimit }) },
});

it("is full at its sizeLimit", () => {
  expect(memoryOptions(volume("1Mi"))).toBe("mode=0777,size=1048576");
  expect(memoryOptions(volume("1500m"))).toBe("mode=0777,size=2");
  expect(memoryOptions(volume())).toBe("mode=0777");
});

const mayMount = process.geteuid?.() === 0 && mounts();

it.skipIf(!mayMount)("is mounted once, whatever its path, and gone with the pod's directory", async () => {
  const dir = mkdtempSync(join(tmpdir(), "hostlet-memory-"));
  const path = join(dir, "a volume\\");
  mkdirSync(path);
  try {
    expect(await mountMemory(path, volume("64Ki"))).toBe(true);
    writeFileSync(join(path, "f"), "x".repeat(1000));
    expect(await mountMemory(path, volume("64Ki"))).toBe(true);
    expect(existsSync(join(path, "f"))).toBe(true);
    expect(() => writeFileSync(join(path, "g"), "x".repeat(100_000))).toThrow(/ENOSPC/);
  } finally {
    await unmountBelow(dir);
  }
  expect(existsSync(join(path, "f"))).toBe(false);
  rmSync(dir, { recursive: true });
});

/** Root in a container of somebody's may not. */
function mounts(): boolean {
  try {
    execFileSync("unshare", ["-m", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
