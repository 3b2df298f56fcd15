import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runtimeConformance } from "../conformance.ts";
import { RuntimeSession } from "../conformanceSession.ts";
import type { ContainerID, ContainerMount, ContainerSpec } from "../contract.ts";
import { Cgroups } from "./cgroups.ts";
import { createSandboxLauncher } from "./launchers/sandbox.ts";
import { makeHarness, type ProcessHarness } from "./processHarness.ts";
import { findPackage } from "./shim.ts";
import { attemptMark } from "./spawn.ts";

async function sandboxed(userNamespace: boolean) {
  const harness = await makeHarness({
    launcher: ({ stateDir }) => createSandboxLauncher({ stateDir, hide: [stateDir], userNamespace }),
  });
  return { ...harness, hostPid };
}

/** Whether this machine gives what it needs; CI's does. */
function works(userNamespace: boolean): boolean {
  const helper = join(findPackage().dir, "shim/bin", `hostlet-sandbox-${process.arch}`);
  const { status, stderr } = spawnSync(helper, ["probe", ...(userNamespace ? ["--user-ns"] : [])], {
    encoding: "utf8",
  });
  if (status !== 0) it.skip(`sandbox tests, user namespace ${userNamespace}: this machine can't: ${stderr}`);
  return status === 0;
}

if (works(false)) runtimeConformance("the process runtime in the sandbox", () => sandboxed(false));
if (works(true)) runtimeConformance("the process runtime in an ordinary user's sandbox", () => sandboxed(true));

/** The tests of images need a program that needs no libraries: Debian's busybox-static. */
const hasBusybox = existsSync("/bin/busybox") && !readFileSync("/bin/busybox").includes("/ld-linux");

describe.each(
  [
    ["root", false],
    ["an ordinary user", true],
  ].filter(([, userNamespace]) => works(userNamespace as boolean)) as [string, boolean][],
)("a sandbox of %s", (_who, userNamespace) => {
  let harness: ProcessHarness;
  let session: RuntimeSession;
  beforeEach(async () => {
    harness = await sandboxed(userNamespace);
    session = await RuntimeSession.open(harness);
  });
  afterEach(async () => {
    await session.close();
    await harness.dispose();
  });

  const volume = (name: string, mountPath: string, more: Partial<ContainerMount> = {}): ContainerMount => {
    const source = join(harness.base, "pods/uid/emptydirs", name);
    mkdirSync(source, { recursive: true });
    return { volume: name, source, mountPath, readOnly: false, ...more };
  };
  const output = async (script: string, about: Partial<ContainerSpec> = {}) => {
    const spec = harness.spec({ argv: ["/bin/sh", "-c", script], ...about });
    const exit = await session.run(spec);
    return { exit, text: await session.log(spec.id) };
  };

  it("has every mountPath, also where the host has no such directory, and nested", async () => {
    const mounts = [
      volume("outer", "/no/such/place"),
      volume("inner", "/no/such/place/in"),
      volume("etc", "/etc/mine"),
    ];
    const { text } = await output(
      "echo 1 > /no/such/place/in/f && echo 2 > /etc/mine/f && test -e /etc/passwd && echo ok",
      {
        mounts,
      },
    );
    expect(text).toBe("ok\n");
    expect(readFileSync(join(mounts[1]!.source, "f"), "utf8")).toBe("1\n");
    expect(readFileSync(join(mounts[2]!.source, "f"), "utf8")).toBe("2\n");
  });

  it("mounts single files, read-only where that is asked for", async () => {
    const file = volume("f", "/etc/hosts", { readOnly: true });
    writeFileSync(join(file.source, "hosts"), "mine\n");
    file.source = join(file.source, "hosts");
    const { text } = await output("cat /etc/hosts; echo x 2>/dev/null > /etc/hosts || echo refused", {
      mounts: [file],
    });
    expect(text).toBe("mine\nrefused\n");
  });

  it("keeps to the size of a mount in memory", async () => {
    const mounts = [volume("m", "/mem", { tmpfs: "size=64k" })];
    const script = "head -c 50000 /dev/zero > /mem/a && ! head -c 50000 /dev/zero > /mem/b 2>/dev/null";
    expect((await output(script, { mounts })).exit.exitCode).toBe(0);
  });

  it("has processes and a hostname of its own, and not the node's files", async () => {
    const script = `hostname; ls /proc | grep -c '^[0-9]'; ls ${harness.stateDir} 2>/dev/null | wc -l`;
    const { text } = await output(script, { hostname: "web-0" });
    const [name, processes, files] = text.split("\n");
    expect(name).toBe("web-0");
    expect(Number(processes)).toBeLessThan(10);
    expect(files).toBe("0");
  });

  it("can't write to its root where that is read-only, but to its volumes", async () => {
    const script = "echo x 2>/dev/null > /x; test ! -e /x && echo y > /data/y && echo z > /dev/null && echo ok";
    const about = { mounts: [volume("d", "/data")], security: { readOnlyRootFilesystem: true } };
    expect((await output(script, about)).text).toBe("ok\n");
  });

  it("leaves the host's files alone", async () => {
    const { exit } = await output(
      `echo x 2>/dev/null > /usr/hostlet-sandbox-test; rm -f /etc/passwd 2>/dev/null; true`,
    );
    expect(exit.exitCode).toBe(0);
    expect(readFileSync("/etc/passwd", "utf8")).toContain("root");
    expect(readdirSync("/usr")).not.toContain("hostlet-sandbox-test");
  });

  it.skipIf(!Cgroups.open())("ends a container that takes more memory than its limit, and says why", async () => {
    const resources = { memoryLimitBytes: 32 * 2 ** 20, qos: "Burstable" as const };
    const script = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo \"$x\" | wc -c";
    const spec = harness.spec({ argv: ["/bin/sh", "-c", script], resources });
    const exit = await session.run(spec);
    expect(exit).toMatchObject({ exitCode: 137, signal: 9, reason: "OOMKilled" });
    await session.runtime.stop();
    session = await RuntimeSession.open(harness);
    expect(session.recovered[0]?.exit).toMatchObject({ reason: "OOMKilled" });
    expect(Cgroups.open()?.of(spec.id)).not.toEqual([]);
    await session.runtime.remove(spec.id);
    expect(Cgroups.open()?.of(spec.id)).toEqual([]);
  });

  it("does not follow a link out of the pod's directory", async () => {
    const mount = volume("v", "/data");
    renameSync(mount.source, `${mount.source}.away`);
    symlinkSync("/etc", mount.source);
    const spec = harness.spec({ argv: ["true"], mounts: [mount] });
    await expect(session.start(spec)).rejects.toThrow(/leads out of the pod's directory/);
    await session.runtime.remove(spec.id);
    session = await RuntimeSession.open(harness);
  });

  describe.skipIf(!hasBusybox)("with a root filesystem of its own", () => {
    const image = (user?: string) => {
      const rootfs = join(harness.base, "rootfs");
      mkdirSync(join(rootfs, "bin"), { recursive: true });
      mkdirSync(join(rootfs, "etc"), { recursive: true });
      execFileSync("cp", ["/bin/busybox", join(rootfs, "bin/busybox")]);
      writeFileSync(join(rootfs, "etc/passwd"), "app:x:1234:1235::/home/app:/bin/sh\n");
      return { id: "test", rootfs, ...(user && { user }) };
    };
    const busybox = async (script: string, about: Partial<ContainerSpec> = {}) => {
      const spec = harness.spec({ argv: ["busybox", "sh", "-c", script], image: image(), ...about });
      const exit = await session.run(spec);
      return { exit, text: await session.log(spec.id) };
    };

    it("sees nothing of the host, and writes into a layer of its own", async () => {
      const about = { mounts: [volume("d", "/data/deep")], workingDir: "/made" };
      const { text } = await busybox(
        'busybox ls /; busybox touch /new /data/deep/f; echo "$PATH $HOME"; busybox pwd',
        about,
      );
      expect(text.split("\n")).toEqual([
        ...["bin", "data", "dev", "etc", "made", "proc", "sys"],
        ...["/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /", "/made", ""],
      ]);
      expect(readdirSync(join(harness.base, "rootfs")).sort()).toEqual(["bin", "etc"]);
    });

    it("runs as the image's user, whose streams can be opened again", async () => {
      const { text } = await busybox("busybox id -u; busybox id -g; echo $HOME; echo err > /dev/stderr", {
        image: image("app"),
      });
      expect(text).toBe("1234\n1235\n/home/app\nerr\n");
    });

    it("says which program it lacks", async () => {
      const { exit } = await busybox("", { argv: ["bash"] });
      expect(exit).toMatchObject({ exitCode: 127, reason: "ContainerCannotRun" });
    });
  });
});

/** The one of this attempt that has the number in a pid namespace of its own. */
function hostPid(id: ContainerID, pid: number): number {
  const found = readdirSync("/proc").find((name) => {
    try {
      const inside = /^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${name}/status`, "utf8"))?.[1];
      if (Number(inside) !== pid) return false;
      return readFileSync(`/proc/${name}/environ`, "utf8")
        .split("\0")
        .includes(`HOSTLET_ATTEMPT=${attemptMark(id)}`);
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error(`no process of this attempt has pid ${pid}`);
  return Number(found);
}
