import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ConfigSources, defaultNodeName, loadConfig, variableName } from "./load.ts";
import { nearest } from "./nearest.ts";
import { isAmount, parseBytes, parseDuration } from "./units.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "hostlet-config-"));
});
afterEach(() => rm(home, { recursive: true }));
const load = (sources: Partial<ConfigSources> = {}) => loadConfig({ env: {}, home, ...sources });
const inFile = async (text: string, name = ".hostlet/config.yaml") => {
  await mkdir(join(home, ".hostlet"), { recursive: true });
  await writeFile(join(home, name), text);
  return join(home, name);
};

describe("what counts", () => {
  test("without anything the defaults do", async () => {
    expect(await load()).toMatchObject({
      podsDir: join(home, ".hostlet/pods"),
      stateDir: join(home, ".hostlet/state"),
      pathLayout: "namespace",
      maxPods: 110,
      containerLogMaxSize: 10_485_760,
      kubeletPort: 10_250,
    });
  });

  test("a JOBNAME of vk-cmd's names the node, and any other is another program's", async () => {
    expect((await load({ env: { JOBNAME: "vk-Ifarm_1" } })).nodeName).toBe("vk-ifarm-1");
    expect((await load({ env: { JOBNAME: "vk-a", HOSTLET_NODE_NAME: "b" } })).nodeName).toBe("b");
    expect((await load({ env: { JOBNAME: "build-7" } })).nodeName).not.toContain("build");
  });

  test("flags come before the environment, that before the file, that before a command's defaults", async () => {
    await inFile("maxPods: 1\nkubeletPort: 2\nnodeName: from-file\n");
    const config = await load({
      flags: { maxPods: "30", compat: undefined },
      env: { HOSTLET_MAX_PODS: "20", HOSTLET_KUBELET_PORT: "21" },
      defaults: { kubeletPort: 0, nodeName: "of-command", logLevel: "warn" },
    });
    expect(config).toMatchObject({
      maxPods: 30,
      kubeletPort: 21,
      nodeName: "from-file",
      logLevel: "warn",
      compat: false,
    });
  });

  test("a file named by --config counts instead of the one at home", async () => {
    await inFile("maxPods: 1");
    expect(await load({ file: await inFile("maxPods: 2", "other.yaml") })).toMatchObject({ maxPods: 2 });
  });

  test("text becomes values", async () => {
    const env = {
      HOSTLET_COMPAT: "true",
      HOSTLET_CONTAINER_LOG_MAX_SIZE: "1Mi",
      HOSTLET_SYNC_FREQUENCY: "1m30s",
      HOSTLET_INHERIT_ENV: "PATH, LC_*",
      HOSTLET_NODE_LABELS: "a=b,example.org/c=",
      HOSTLET_NODE_TAINTS: "a=b:NoSchedule,c:NoExecute",
      HOSTLET_PODS_DIR: "~/elsewhere",
      HOSTLET_NODE_IP: "127.0.0.1",
      HOSTLET_CPU: "500m",
    };
    expect(await load({ env })).toMatchObject({
      compat: true,
      containerLogMaxSize: 1_048_576,
      syncFrequency: 90_000,
      inheritEnv: ["PATH", "LC_*"],
      nodeLabels: { a: "b", "example.org/c": "" },
      nodeTaints: [
        { key: "a", value: "b", effect: "NoSchedule" },
        { key: "c", effect: "NoExecute" },
      ],
      podsDir: join(home, "elsewhere"),
      nodeIP: "127.0.0.1",
      cpu: "500m",
    });
  });

  test("a flag that was given several times is a list", async () => {
    expect(await load({ flags: { nodeLabels: ["a=b", "c=d"] } })).toMatchObject({ nodeLabels: { a: "b", c: "d" } });
  });

  test("an empty file is as good as none", async () => {
    await inFile("# nothing\n");
    expect(await load()).toMatchObject({ maxPods: 110 });
  });
});

describe("what is wrong is named, with what it should be", () => {
  test.each([
    ["maxPod: 3", 'config.yaml: unknown key "maxPod"; did you mean "maxPods"?'],
    ["maxPods: many", 'config.yaml: maxPods: must be a whole number, not "many"'],
    ["maxPods: 0", "maxPods: must be at least 1, not 0"],
    ["nodeName: Under_Score", "nodeName: must be a DNS name"],
    ["pathLayout: flat", "pathLayout: must be namespace or pod"],
    ["nodeTaints: [{key: a, effekt: NoSchedule}]", "nodeTaints"],
    ["images: [{match: a, entry: []}]", "images.0.entry: unknown key"],
    ["images: [{match: a, entrypoint: bash}]", "images.0.entrypoint: must be a list of strings"],
    ["containerLogMaxSize: 10 apples", "containerLogMaxSize: must be bytes such as 10Mi"],
    ["syncFrequency: 1ms", "syncFrequency: must be at least 1s"],
    ["a: [", "config.yaml, line 1: not valid YAML"],
    ["- a", "config.yaml: must hold keys and values"],
  ])("in a file: %s", async (text, expected) => {
    await inFile(text);
    await expect(load()).rejects.toMatchObject({ code: "ConfigInvalid", message: expect.stringContaining(expected) });
  });

  test("in the environment, and on the command line", async () => {
    await expect(load({ env: { HOSTLET_MAX_PODS: "x" } })).rejects.toThrow("HOSTLET_MAX_PODS: must be a whole number");
    await expect(load({ env: { HOSTLET_NODE_TAINTS: "a" } })).rejects.toThrow(
      "HOSTLET_NODE_TAINTS.0.effect: must be one of NoSchedule",
    );
    await expect(load({ flags: { logLevel: "loud" } })).rejects.toThrow("--log-level: must be one of fatal");
  });

  test("a file that was asked for and isn't there", async () => {
    await expect(load({ file: join(home, "absent.yaml") })).rejects.toThrow("absent.yaml: no such file");
  });
});

test("every host's name becomes a Node's name", () => {
  expect(defaultNodeName("Login_01.Example.ORG.")).toBe("login-01.example.org");
  expect(defaultNodeName("---")).toBe("hostlet");
  fc.assert(
    fc.property(fc.string(), (host) => {
      expect(defaultNodeName(host)).toMatch(
        /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/,
      );
    }),
  );
});

test("names of variables", () => {
  expect(["podsDir", "nodeIP", "cpu"].map(variableName)).toEqual([
    "HOSTLET_PODS_DIR",
    "HOSTLET_NODE_IP",
    "HOSTLET_CPU",
  ]);
});

test("bytes, durations and quantities", () => {
  expect(["10Mi", "1k", 5, "1.5Mi", "500m", "x", "-1"].map(parseBytes)).toEqual([
    10_485_760,
    1000,
    5,
    1_572_864,
    undefined,
    undefined,
    undefined,
  ]);
  expect(["1m30s", "1.5h", "100ms", 5, "1", "", -1].map(parseDuration)).toEqual([
    90_000,
    5_400_000,
    100,
    5,
    undefined,
    undefined,
    undefined,
  ]);
  expect(["4", "500m", "1.5", ".5", "8Gi", "1e3", "-1", "8gb", ""].map(isAmount)).toEqual([
    ...Array(6).fill(true),
    ...Array(3).fill(false),
  ]);
});

test("the nearest name", () => {
  expect(nearest("podDir", ["podsDir", "stateDir"])).toBe("podsDir");
  expect(nearest("banana", ["podsDir", "stateDir"])).toBeUndefined();
});
