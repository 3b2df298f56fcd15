import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestNode } from "../integration/support/node.ts";
import { TestPlugin } from "../integration/support/plugin.ts";
import { Program } from "../integration/support/program.ts";

/** interLink's API server, built from its Go module by the ordinary client; `HOSTLET_INTERLINK_VERSION` names another one. */
const command = `github.com/interlink-hq/interlink/cmd/interlink@${process.env.HOSTLET_INTERLINK_VERSION ?? "latest"}`;

let dir: string;
let why: string | undefined;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-il-go-"));
  const cache = process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? dir, ".cache");
  const env = { ...process.env, GOBIN: join(dir, "bin"), GOFLAGS: "-modcacherw", GOPATH: join(cache, "hostlet", "go") };
  try {
    await promisify(execFile)("go", ["install", command], { env, timeout: 200_000 });
  } catch (error) {
    const { code, stderr = "" } = error as { code?: unknown; stderr?: string };
    why = code === "ENOENT" ? "there is no Go" : `its module can't be had: ${stderr.trim().split("\n").at(-1)}`;
    console.log(`SKIPPED: interLink's own API server: ${why}`);
  }
});

afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("interLink's own API server between our node and our plugin", async (context) => {
  if (why !== undefined) return context.skip(why);
  const plugin = await TestPlugin.start();
  await plugin.leaveApi();
  const socket = join(dir, "api.sock");
  const config = join(dir, "InterLinkConfig.yaml");
  writeFileSync(
    config,
    `InterlinkAddress: "unix://${socket}"\nSidecarURL: "unix://${plugin.socket}"\nDataRootFolder: "${dir}"\n`,
  );
  const logFile = join(dir, "interlink.log");
  const api = new Program("env", [`INTERLINKCONFIGPATH=${config}`, join(dir, "bin", "interlink")], {
    name: "interlink",
    logFile,
    cwd: dir,
  });
  await api.whileRunning(async () => existsSync(socket));
  const node = await TestNode.start({
    nodeName: "go-1",
    provider: "interlink",
    interlinkUrl: `unix:${socket}`,
    interlinkStatusInterval: 500,
  });
  try {
    await node.run("through-go", "echo from afar; exit 7");
    const pod = await node.ended("through-go");
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(7);
    expect(pod.metadata?.annotations?.JobID).toBe(pod.metadata?.uid);
    expect(await node.logs("through-go")).toBe("from afar\n");
  } finally {
    await node.stop();
    await api.stop();
    await plugin.stop();
  }
});
