import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runtimeConformance } from "../../src/runtimes/conformance.ts";
import { RuntimeSession } from "../../src/runtimes/conformanceSession.ts";
import { runtimeSkips } from "../../src/runtimes/conformanceSkips.ts";
import type { ContainerSpec } from "../../src/runtimes/contract.ts";
import { unitName } from "../../src/runtimes/systemd/unitName.ts";
import { type SystemdHarness, systemdHarness } from "./support/systemdHarness.ts";

// scripts/with-systemd.sh gives systemd as PID 1; a machine that was booted with it must not be touched by a test.
const missing = process.env.HOSTLET_TEST_SYSTEMD === "system" ? undefined : "it is run by scripts/with-systemd.sh";
if (missing !== undefined) {
  console.warn(`SKIPPED: systemd's own manager: ${missing}`);
  describe("systemd", () => test.skip(missing, () => {}));
} else {
  runtimeConformance("systemd", () => systemdHarness("system", {}), runtimeSkips.systemd);
  unitsOfTheSystem();
}

function unitsOfTheSystem(): void {
  describe("units of the system's manager", () => {
    let harness: SystemdHarness;
    let session: RuntimeSession;
    let last = 0;
    beforeEach(async () => {
      harness = await systemdHarness("system", {});
      session = await RuntimeSession.open(harness);
    });
    afterEach(async () => {
      await session.close();
      await harness.dispose();
    });
    const shell = (script: string, about: Partial<ContainerSpec> = {}) => {
      const id = { podUID: "0c0ffee0-0000-4000-8000-0000000000aa", container: `u${++last}`, attempt: 0 };
      return harness.spec({ id, argv: ["/bin/sh", "-c", script], env: { PATH: "/usr/bin:/bin" }, ...about });
    };
    const show = (spec: ContainerSpec, property: string) =>
      execFileSync("systemctl", ["show", "-P", property, unitName(spec)], { encoding: "utf8" }).trim();
    const waits = "echo ready; sleep 1000";

    test("are shown by the host's own tools, in the slice of their pod, with their limits", async () => {
      const resources = { cpuRequestMillis: 250, cpuLimitMillis: 500, memoryLimitBytes: 64 << 20 };
      const spec = shell(waits, { resources });
      await session.start(spec);
      expect(show(spec, "ActiveState")).toBe("active");
      expect(show(spec, "Slice")).toBe("hostlet-pod0c0ffee0_0000_4000_8000_0000000000aa.slice");
      expect(show(spec, "Description")).toBe(`container ${spec.id.container} of pod default/p`);
      expect(show(spec, "CPUQuotaPerSecUSec")).toBe("500ms");
      expect(show(spec, "MemoryMax")).toBe(String(64 << 20));
    });

    test("have nothing of the environment that others could read", async () => {
      const spec = shell(waits, { env: { PATH: "/usr/bin:/bin", SECRET: "hush-hush" } });
      await session.start(spec);
      expect(execFileSync("systemctl", ["show", unitName(spec)], { encoding: "utf8" })).not.toContain("hush-hush");
    });

    test("that have ended are gone, and systemd remembers nothing", async () => {
      const spec = shell("exit 3");
      await session.run(spec);
      await session.runtime.remove(spec.id);
      await expect.poll(() => show(spec, "LoadState"), { timeout: 30_000 }).toBe("not-found");
    });

    test("a container that takes more memory than it may is OOMKilled", async () => {
      const script = "head -c 200000000 /dev/zero | tail | cat > /dev/null";
      const exec = shell(`exec tail /dev/zero`, { resources: { memoryLimitBytes: 20 << 20 } });
      expect(await session.run(exec)).toMatchObject({ exitCode: 137, signal: 9, reason: "OOMKilled" });
      const within = shell(script, { resources: { memoryLimitBytes: 1 << 30 } });
      expect(await session.run(within)).toMatchObject({ exitCode: 0 });
    });

    test("mounts are in their places, for this container alone, and read-only ones are", async () => {
      const source = join(harness.base, "volume");
      mkdirSync(source);
      writeFileSync(join(source, "file"), "of the volume\n");
      const place = `/mnt/${mkdtempSync("hostlet-mount-")}`;
      rmdirSync(place.slice("/mnt/".length));
      const mounts = [
        { volume: "v", source, mountPath: `${place}/rw`, readOnly: false },
        { volume: "v", source, mountPath: `${place}/ro`, readOnly: true },
      ];
      const script = `cat ${place}/rw/file ${place}/ro/file; echo new > ${place}/rw/new; echo no > ${place}/ro/no; cat ${place}/ro/new`;
      const spec = shell(script, { mounts });
      await session.run(spec);
      expect(await session.log(spec.id, { stream: "Stdout" })).toBe("of the volume\nof the volume\nnew\n");
      expect(existsSync(join(source, "no"))).toBe(false);
      expect(existsSync(`${place}/rw/file`)).toBe(false);
      rmSync(place, { recursive: true });
    });

    test("a read-only root takes nothing but what goes into mounts and the container's directory", async () => {
      const source = join(harness.base, "volume");
      mkdirSync(source);
      const mounts = [{ volume: "v", source, mountPath: "/mnt", readOnly: false }];
      const security = { readOnlyRootFilesystem: true };
      const spec = shell("touch /var/x && echo no; touch /mnt/yes own && echo yes", { mounts, security });
      await session.run(spec);
      expect(await session.log(spec.id, { stream: "Stdout" })).toBe("yes\n");
      expect(existsSync(join(source, "yes"))).toBe(true);
    });

    test("exec sees the container's mounts", async () => {
      const source = join(harness.base, "volume");
      mkdirSync(source);
      writeFileSync(join(source, "file"), "hello\n");
      const spec = shell(waits, { mounts: [{ volume: "v", source, mountPath: "/mnt", readOnly: false }] });
      await session.start(spec);
      await session.seen(spec.id, /ready/);
      const request = { argv: ["cat", "/mnt/file"], stdin: false, tty: false };
      const streams = await session.runtime.exec!(spec.id, request, new AbortController().signal);
      const chunks: Buffer[] = [];
      for await (const chunk of streams.stdout) chunks.push(chunk as Buffer);
      expect(Buffer.concat(chunks).toString()).toBe("hello\n");
      expect(await streams.ended).toEqual({ exitCode: 0 });
    });

    test("a mount that can't be made is said, with systemd's reason, and nothing is left", async () => {
      const mounts = [{ volume: "v", source: "/no/such/source", mountPath: "/mnt/x", readOnly: false }];
      const spec = shell("true", { mounts });
      await expect(session.runtime.start(spec)).rejects.toThrow(/226|mounts could not be made|NotExist|No such file/);
      await expect.poll(() => show(spec, "LoadState"), { timeout: 30_000 }).toBe("not-found");
    });
  });

  test("the agent as a unit with KillMode=process is restarted under a pod, which never notices", async () => {
    const home = mkdtempSync(join(tmpdir(), "hostlet-agent-"));
    const text = readFileSync(new URL("../../deploy/hostlet.service", import.meta.url), "utf8");
    const settings = [...text.matchAll(/^(KillMode|Delegate|Restart|RestartSec|UMask)=.*$/gm)].map(([line]) => line);
    const env = { HOME: home, PATH: process.env.PATH ?? "", HOSTLET_RUNTIME: "systemd" };
    const bin = new URL("../../bin/hostlet.js", import.meta.url).pathname;
    const kubeconfig = join(home, ".hostlet/up/kubeconfig");
    const kubectl = (...args: string[]) =>
      execFileSync("kubectl", ["--kubeconfig", kubeconfig, ...args], { encoding: "utf8", stdio: "pipe" });
    const manifest = join(home, "pod.json");
    const main = { name: "main", image: "none", command: ["sh", "-c", "echo started; sleep 1000"] };
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "steady" }, spec: { containers: [main] } };
    writeFileSync(manifest, JSON.stringify(pod));
    const unit = join("/run/systemd/transient", "hostlet-agent-test.service");
    const lines = ["[Unit]", "DefaultDependencies=no", "[Service]", ...settings];
    for (const [name, value] of Object.entries(env)) lines.push(`Environment="${name}=${value}"`);
    mkdirSync("/run/systemd/transient", { recursive: true });
    writeFileSync(unit, `${[...lines, `ExecStart=${process.execPath} ${bin} up`].join("\n")}\n`);
    const systemctl = (...args: string[]) => execFileSync("systemctl", args, { encoding: "utf8", stdio: "pipe" });
    const status = () => {
      try {
        return JSON.parse(kubectl("get", "pod", "steady", "-o", "json")).status.containerStatuses[0];
      } catch {
        return undefined; // the agent, and with it the API, is on its way
      }
    };
    const running = () => expect.poll(() => status()?.state.running?.startedAt, { timeout: 60_000 }).toBeDefined();
    try {
      systemctl("daemon-reload");
      systemctl("start", "hostlet-agent-test");
      await expect.poll(() => existsSync(kubeconfig), { timeout: 60_000 }).toBe(true);
      kubectl("apply", "-f", manifest);
      await running();
      const before = status();
      systemctl("restart", "hostlet-agent-test");
      await running();
      expect(status()).toMatchObject({ restartCount: 0, containerID: before.containerID, state: before.state });
      expect(kubectl("logs", "steady")).toBe("started\n");
      kubectl("delete", "pod", "steady", "--grace-period=1");
    } finally {
      systemctl("stop", "hostlet-agent-test");
      rmSync(unit, { force: true });
      rmSync(home, { recursive: true, force: true });
    }
  });
}
