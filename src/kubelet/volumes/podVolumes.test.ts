import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../clock.ts";
import type { HostletError } from "../../errors.ts";
import type { ConfigMap, Pod, Secret, Volume } from "../../kube/types.ts";
import { volumeReferences } from "./kinds.ts";
import { setUpVolumes } from "./podVolumes.ts";
import { base64, testObjects } from "./testObjects.ts";

let root: string;
let podDir: string;
let configMaps: Record<string, ConfigMap | Error>;
let secrets: Record<string, Secret | Error>;
const signal = new AbortController().signal;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hostlet-volumes-"));
  podDir = join(root, "pod");
  await mkdir(podDir, { mode: 0o700 });
  configMaps = { app: { data: { "run.sh": "echo", "app.conf": "v=1" } }, broken: new Error("connection reset") };
  secrets = { tls: { data: { "tls.key": base64("key"), "tls.crt": base64("crt") } } };
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A pod of one container that mounts all the volumes, but for those named `unmounted...`. */
function podWith(...volumes: Volume[]): Pod {
  const volumeMounts = volumes
    .filter(({ name }) => !name.startsWith("unmounted"))
    .map(({ name }) => ({ name, mountPath: `/${name}` }));
  const resources = { requests: { memory: "64Mi" } };
  return {
    metadata: { name: "p", namespace: "ns", uid: "u", labels: { tier: "front" } },
    spec: { containers: [{ name: "c", volumeMounts, resources }], volumes },
  };
}
function setUp(...volumes: Volume[]) {
  const objects = testObjects(configMaps, secrets);
  return setUpVolumes({
    pod: podWith(...volumes),
    podDir,
    objects,
    allocatable: { cpu: "4" },
    clock: systemClock,
    signal,
  });
}
async function failure(...volumes: Volume[]) {
  return (await setUp(...volumes).catch((error) => error)) as HostletError;
}
const read = (path: string) => readFile(join(podDir, path), "utf8");
const modeOf = async (path: string) => ((await stat(join(podDir, path))).mode & 0o7777).toString(8);
const visible = async (path: string) =>
  (await readdir(join(podDir, path))).filter((name) => !name.startsWith("..")).sort();

describe("where a volume stands, and what it holds", () => {
  it("a configMap in configmaps/<name>, with its defaultMode", async () => {
    const { sources } = await setUp({ name: "cm", configMap: { name: "app", defaultMode: 0o755 } });
    expect(sources.get("cm")).toEqual({ path: join(podDir, "configmaps/cm"), kind: "configMap", readOnly: true });
    expect(await visible("configmaps/cm")).toEqual(["app.conf", "run.sh"]);
    expect([await read("configmaps/cm/run.sh"), await modeOf("configmaps/cm/run.sh")]).toEqual(["echo", "755"]);
  });

  it("a secret in secrets/<name>, closed to all but its user", async () => {
    await setUp({ name: "s", secret: { secretName: "tls", defaultMode: 0o644 } });
    expect(await read("secrets/s/tls.key")).toBe("key");
    expect([await modeOf("secrets"), await modeOf("secrets/s"), await modeOf("secrets/s/..data")]).toEqual([
      "700",
      "700",
      "700",
    ]);
    expect(await modeOf("secrets/s/tls.key")).toBe("600");
  });

  it("an emptyDir in emptydirs/<name>, writable, and kept by a second set-up", async () => {
    const { sources } = await setUp({ name: "e", emptyDir: {} });
    expect(sources.get("e")).toEqual({ path: join(podDir, "emptydirs/e"), kind: "emptyDir", readOnly: false });
    await writeFile(join(podDir, "emptydirs/e/kept"), "x");
    await setUp({ name: "e", emptyDir: {} });
    expect(await read("emptydirs/e/kept")).toBe("x");
  });

  it("a volume of no type is an emptyDir, as the API server has it", async () => {
    expect((await setUp({ name: "e" })).sources.get("e")?.kind).toBe("emptyDir");
  });

  it("a hostPath where it is", async () => {
    const { sources } = await setUp({ name: "h", hostPath: { path: "/dev", type: "Directory" } });
    expect(sources.get("h")).toEqual({ path: "/dev", kind: "hostPath", readOnly: false });
  });

  it("a downwardAPI in downwardapi/<name>", async () => {
    await setUp({
      name: "d",
      downwardAPI: {
        items: [
          { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
          { path: "limits/cpu", resourceFieldRef: { containerName: "c", resource: "limits.cpu" }, mode: 0o400 },
          { path: "mem", resourceFieldRef: { containerName: "c", resource: "requests.memory", divisor: "1Mi" } },
        ],
      },
    });
    expect(await read("downwardapi/d/labels")).toBe('tier="front"');
    expect([await read("downwardapi/d/limits/cpu"), await modeOf("downwardapi/d/limits/cpu")]).toEqual(["4", "400"]);
    expect(await read("downwardapi/d/mem")).toBe("64");
  });

  it("a projected one in projected/<name>: all sources in one directory, the later wins", async () => {
    await setUp({
      name: "p",
      projected: {
        defaultMode: 0o640,
        sources: [
          { configMap: { name: "app" } },
          { secret: { name: "tls", items: [{ key: "tls.key", path: "app.conf" }] } },
          { downwardAPI: { items: [{ path: "meta/name", fieldRef: { fieldPath: "metadata.name" } }] } },
        ],
      },
    });
    expect(await visible("projected/p")).toEqual(["app.conf", "meta", "run.sh"]);
    expect(await read("projected/p/app.conf")).toBe("key");
    expect([await modeOf("projected/p"), await modeOf("projected/p/app.conf")]).toEqual(["700", "600"]);
    expect(await modeOf("projected/p/run.sh")).toBe("640");
  });

  it("an optional object that is missing leaves an empty volume", async () => {
    await setUp({ name: "cm", configMap: { name: "none", optional: true } });
    expect(await visible("configmaps/cm")).toEqual([]);
  });
});

describe("what keeps a pod waiting, and is tried again", () => {
  it.each<[string, Volume]>([
    ['configmap "none" not found', { name: "v", configMap: { name: "none" } }],
    ['secret "none" not found', { name: "v", secret: { secretName: "none" } }],
    ['configmap "" not found', { name: "v", configMap: {} }],
    [
      "configmap references non-existent config key: k",
      { name: "v", configMap: { name: "app", items: [{ key: "k", path: "k" }] } },
    ],
    [
      "references non-existent secret key: k",
      { name: "v", secret: { secretName: "tls", items: [{ key: "k", path: "k" }] } },
    ],
    [`couldn't read configmap "broken": connection reset`, { name: "v", configMap: { name: "broken" } }],
    [
      "hostPath type check failed: /dev/null is not a file",
      { name: "v", hostPath: { path: "/dev/null", type: "File" } },
    ],
    [
      '[configmap "none" not found, secret "none" not found]',
      { name: "v", projected: { sources: [{ configMap: { name: "none" } }, { secret: { name: "none" } }] } },
    ],
  ])("%s", async (message, volume) => {
    expect(await failure(volume)).toMatchObject({
      code: "CreateContainerFailed",
      reason: "FailedMount",
      message: `MountVolume.SetUp failed for volume "v" : ${message}`,
    });
  });

  it("goes on when the object has appeared", async () => {
    const volume = { name: "v", configMap: { name: "late" } };
    expect(await failure(volume)).toBeInstanceOf(Error);
    configMaps.late = { data: { k: "v" } };
    await setUp(volume);
    expect(await read("configmaps/v/k")).toBe("v");
  });

  it("is told for all volumes at once", async () => {
    const error = await failure({ name: "a", configMap: { name: "x" } }, { name: "b", configMap: { name: "y" } });
    expect(error.message).toContain('volume "a" : configmap "x" not found');
    expect(error.message).toContain('volume "b" : configmap "y" not found');
  });
});

describe("what only another pod would mend", () => {
  it.each<[string, Volume]>([
    [
      'volume "v" is of type nfs, which this node does not offer; it has configMap, secret, projected, downwardAPI, emptyDir, hostPath, persistentVolumeClaim',
      { name: "v", nfs: { server: "s", path: "/" } },
    ],
    [
      "source serviceAccountToken: this node has no service account tokens to give",
      { name: "v", projected: { sources: [{ serviceAccountToken: { path: "token" } }] } },
    ],
    [
      "source clusterTrustBundle is not supported yet; this node projects configMap, secret, downwardAPI and serviceAccountToken",
      { name: "v", projected: { sources: [{ clusterTrustBundle: { path: "x" } }] } },
    ],
    [
      "invalid path \"../../etc/passwd\": must not contain '..'",
      { name: "v", configMap: { name: "app", items: [{ key: "run.sh", path: "../../etc/passwd" }] } },
    ],
    [
      'invalid path "/etc/cron.d/x": must be a relative path',
      { name: "v", secret: { secretName: "tls", items: [{ key: "tls.key", path: "/etc/cron.d/x" }] } },
    ],
    [
      "unsupported fieldPath: spec.nodeName",
      { name: "v", downwardAPI: { items: [{ path: "x", fieldRef: { fieldPath: "spec.nodeName" } }] } },
    ],
    ["invalid HostPath `/a/../b`: must not contain '..'", { name: "v", hostPath: { path: "/a/../b" } }],
    [
      'conflicting paths: "a" is a file, and the directory of "a/b"',
      {
        name: "v",
        configMap: {
          name: "app",
          items: [
            { key: "run.sh", path: "a/b" },
            { key: "run.sh", path: "a" },
          ],
        },
      },
    ],
  ])("%s", async (message, volume) => {
    expect(await failure(volume)).toMatchObject({
      code: "PodInvalid",
      reason: "FailedMount",
      message: `MountVolume.SetUp failed for volume "v" : ${message}`,
    });
  });

  it("a key that would leave the volume, where no API server has checked it", async () => {
    configMaps.evil = { data: { "../../escape": "x" } };
    expect(await failure({ name: "v", configMap: { name: "evil" } })).toMatchObject({ code: "PodInvalid" });
    configMaps.evil = { data: { "..data": "x" } };
    expect(await failure({ name: "v", configMap: { name: "evil" } })).toMatchObject({ code: "PodInvalid" });
  });

  it.each(["../x", "a/b", "", "UP", "x".repeat(64)])("a volume named %j", async (name) => {
    expect(await failure({ name, emptyDir: {} })).toMatchObject({ code: "PodInvalid", reason: "FailedMount" });
    expect(await readdir(podDir)).toEqual([]);
  });

  it("two volumes of one name", async () => {
    expect((await failure({ name: "v" }, { name: "v" })).message).toBe('two volumes are named "v"');
  });

  it("wins over what is only missing", async () => {
    const error = await failure(
      { name: "a", configMap: { name: "none" } },
      { name: "b", nfs: { server: "s", path: "/" } },
    );
    expect(error.code).toBe("PodInvalid");
  });
});

describe("a volume that no container mounts", () => {
  it("is made, as the seeds have it", async () => {
    await setUp({ name: "unmounted", configMap: { name: "app" } });
    expect(await visible("configmaps/unmounted")).toEqual(["app.conf", "run.sh"]);
  });

  it.each<[string, Volume]>([
    ['configmap "none" not found', { name: "unmounted", configMap: { name: "none" } }],
    ["is of type nfs", { name: "unmounted", nfs: { server: "s", path: "/" } }],
  ])("holds no pod up: %s is a warning", async (message, volume) => {
    const volumes = await setUp(volume);
    expect(volumes.warnings).toEqual([
      { volume: "unmounted", reason: "FailedMount", message: expect.stringContaining(message) },
    ]);
    await expect(volumes.refresh({}, signal)).resolves.toMatchObject({ updated: [] });
  });

  it("is made later, when its object appears", async () => {
    const volumes = await setUp({ name: "unmounted", configMap: { name: "late" } });
    configMaps.late = { data: { k: "v" } };
    expect((await volumes.refresh({}, signal)).updated).toEqual(["unmounted"]);
    expect(volumes.sources.has("unmounted")).toBe(true);
  });
});

it("what is not honoured is warned of", async () => {
  const { warnings } = await setUp(
    { name: "mem", emptyDir: { medium: "Memory", sizeLimit: "1Gi" } },
    {
      name: "kube-api-access-x7k2p",
      projected: { sources: [{ serviceAccountToken: { path: "token" } }, { configMap: { name: "app" } }] },
    },
  );
  expect(warnings.map(({ message }) => message)).toEqual([
    'medium Memory of volume "mem" is not honoured: it is a directory on disk',
    'sizeLimit 1Gi of volume "mem" is not enforced',
    'volume "kube-api-access-x7k2p" has no token: this node has no service account tokens to give',
  ]);
  expect(await visible("projected/kube-api-access-x7k2p")).toEqual(["app.conf", "run.sh"]);
});

describe("a refresh", () => {
  const app = { kind: "ConfigMap", namespace: "ns", name: "app" } as const;

  it("brings a changed object into the files, and names the volumes", async () => {
    const volumes = await setUp(
      { name: "cm", configMap: { name: "app" } },
      { name: "p", projected: { sources: [{ configMap: { name: "app" } }] } },
      { name: "s", secret: { secretName: "tls" } },
    );
    configMaps.app = { data: { "app.conf": "v=2" } };
    secrets.tls = { data: {} };
    expect(await volumes.refresh({ object: app }, signal)).toEqual({ updated: ["cm", "p"], warnings: [] });
    expect(await read("configmaps/cm/app.conf")).toBe("v=2");
    expect(await visible("configmaps/cm")).toEqual(["app.conf"]);
    expect(await visible("secrets/s")).toEqual(["tls.crt", "tls.key"]);
    expect((await volumes.refresh({}, signal)).updated).toEqual(["s"]);
  });

  it("does nothing where nothing has changed", async () => {
    const volumes = await setUp({ name: "cm", configMap: { name: "app" } });
    expect(await volumes.refresh({}, signal)).toEqual({ updated: [], warnings: [] });
  });

  it("brings new labels into downwardAPI files, and changed objects too", async () => {
    const item = { path: "labels", fieldRef: { fieldPath: "metadata.labels" } };
    const both: Volume[] = [
      { name: "d", downwardAPI: { items: [item] } },
      { name: "cm", configMap: { name: "app" } },
    ];
    const volumes = await setUp(...both);
    const pod = podWith(...both);
    pod.metadata!.labels = { tier: "back" };
    configMaps.app = { data: { k: "v" } };
    expect((await volumes.refresh({ pod }, signal)).updated).toEqual(["d", "cm"]);
    expect(await read("downwardapi/d/labels")).toBe('tier="back"');
    expect((await volumes.refresh({}, signal)).updated).toEqual([]);
  });

  it("keeps the old files where the object is gone or can't be read, and says so", async () => {
    const volumes = await setUp({ name: "cm", configMap: { name: "app" } });
    delete configMaps.app;
    expect(await volumes.refresh({ object: app }, signal)).toEqual({
      updated: [],
      warnings: [
        {
          volume: "cm",
          reason: "FailedMount",
          message: 'MountVolume.SetUp failed for volume "cm" : configmap "app" not found',
        },
      ],
    });
    expect(await read("configmaps/cm/app.conf")).toBe("v=1");
  });

  it("empties the volume of an optional object that is gone", async () => {
    const volumes = await setUp({ name: "cm", configMap: { name: "app", optional: true } });
    delete configMaps.app;
    expect((await volumes.refresh({ object: app }, signal)).updated).toEqual(["cm"]);
    expect(await visible("configmaps/cm")).toEqual([]);
  });

  it("may be asked for while another runs: they are done in order", async () => {
    const volumes = await setUp({ name: "cm", configMap: { name: "app" } });
    const results = [1, 2, 3].map((n) => {
      configMaps.app = { data: { k: String(n) } };
      return volumes.refresh({}, signal);
    });
    await Promise.all(results);
    expect(await read("configmaps/cm/k")).toBe("3");
  });

  it("rejects when aborted, and the next one works", async () => {
    const volumes = await setUp({ name: "cm", configMap: { name: "app" } });
    await expect(volumes.refresh({}, AbortSignal.abort(new Error("stopping")))).rejects.toThrow("stopping");
    expect((await volumes.refresh({}, signal)).warnings).toEqual([]);
  });
});

it("whatever the paths and keys, nothing is written outside the volume", async () => {
  const names = fc.constantFrom("..", ".", "", "a", "b", "..data", "..x", "c..", "\0", "x".repeat(256));
  const paths = fc.array(names, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
  const items = fc.array(fc.record({ key: fc.constant("run.sh"), path: paths }), { maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(items, paths, async (wanted, key) => {
      configMaps.fuzz = { data: { "run.sh": "echo", ...(wanted.length === 0 && { [key]: "x" }) } };
      const error = await failure({ name: "v", configMap: { name: "fuzz", items: wanted } });
      expect(error instanceof Error ? error.name : "none").toMatch(/^(HostletError|none)$/);
      expect(await readdir(root)).toEqual(["pod"]);
      expect(["", "configmaps"]).toContain((await readdir(podDir)).join());
      const inKind = await readdir(join(podDir, "configmaps")).catch(() => ["v"]);
      expect(inKind).toEqual(["v"]);
    }),
    { numRuns: 150 },
  );
});

it("a ConfigMap of 1 MiB, and a key at its limit", async () => {
  const key = "k".repeat(253);
  configMaps.big = { data: { [key]: "x".repeat(1024 * 1024 - 253) } };
  await setUp({ name: "v".repeat(63), configMap: { name: "big" } });
  expect((await read(`configmaps/${"v".repeat(63)}/${key}`)).length).toBe(1024 * 1024 - 253);
});

it("lists the objects that a pod's volumes are written from", () => {
  const pod = podWith(
    { name: "a", configMap: { name: "app" } },
    { name: "b", secret: { secretName: "tls" } },
    { name: "c", projected: { sources: [{ configMap: { name: "app" } }, { secret: { name: "other" } }] } },
    { name: "d", emptyDir: {} },
  );
  expect(volumeReferences(pod)).toEqual([
    { kind: "ConfigMap", namespace: "ns", name: "app" },
    { kind: "Secret", namespace: "ns", name: "tls" },
    { kind: "Secret", namespace: "ns", name: "other" },
  ]);
});
