import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { ObjectSource, ServiceAccountTokenRequest } from "../../kube/objectSource.ts";
import type { Pod, ServiceAccountTokenProjection, Volume } from "../../kube/types.ts";
import { ManualClock } from "../../testing/manualClock.ts";
import { setUpVolumes } from "./podVolumes.ts";
import { testObjects } from "./testObjects.ts";

const hour = 3_600_000;
const signal = new AbortController().signal;

let podDir: string;
let clock: ManualClock;
let asked: ServiceAccountTokenRequest[];
/** The answer to the next requests: a token of this life in ms, or an error. */
let next: number | Error;

beforeEach(async () => {
  podDir = await mkdtemp(join(tmpdir(), "hostlet-token-"));
  clock = new ManualClock();
  asked = [];
  next = hour;
});
afterEach(() => rm(podDir, { recursive: true, force: true }));

function setUp(sources: ServiceAccountTokenProjection[], more: Partial<Volume["projected"]> = {}, spec = {}) {
  const volumes = sources.map((serviceAccountToken, i) => ({
    name: `v${i}`,
    projected: { sources: [{ serviceAccountToken }], ...more },
  }));
  const volumeMounts = volumes.map(({ name }) => ({ name, mountPath: `/${name}` }));
  const pod: Pod = {
    metadata: { name: "p", namespace: "ns", uid: "u" },
    spec: { containers: [{ name: "c", volumeMounts }], volumes, ...spec },
  };
  const objects: ObjectSource = {
    ...testObjects({ "kube-root-ca.crt": { data: { "ca.crt": "CA", other: "x" } } }),
    async serviceAccountToken(request) {
      asked.push(request);
      if (next instanceof Error) throw next;
      const life = next * (request.expirationSeconds / 3600);
      return { token: `t${asked.length}`, expiresAt: clock.now() + life, refreshAt: clock.now() + 0.8 * life };
    },
  };
  return setUpVolumes({ pod, podDir, objects, allocatable: {}, clock, signal });
}

const read = (path: string) => readFile(join(podDir, "projected", path), "utf8");
const modeOf = async (path: string) => ((await stat(join(podDir, "projected", path))).mode & 0o777).toString(8);

it("a token is asked for as the source says, for the pod's service account", async () => {
  await setUp([{ path: "a/b", audience: "vault", expirationSeconds: 600 }], {}, { serviceAccountName: "builder" });
  const pod = { namespace: "ns", name: "p", uid: "u" };
  expect(asked).toEqual([{ namespace: "ns", name: "builder", pod, audiences: ["vault"], expirationSeconds: 600 }]);
  expect(await read("v0/a/b")).toBe("t1");
});

it("without more it is an hour's token of the default service account for the API server", async () => {
  await setUp([{ path: "token" }]);
  expect(asked).toMatchObject([{ name: "default", audiences: [], expirationSeconds: 3600 }]);
});

it.each([
  [undefined, "600"],
  [0o644, "600"],
  [0o440, "400"],
])("with defaultMode %o its file has mode %s, in a directory that is closed to others", async (defaultMode, mode) => {
  await setUp([{ path: "token" }], defaultMode === undefined ? {} : { defaultMode });
  expect(await modeOf("v0/token")).toBe(mode);
  expect(await modeOf("v0")).toBe("700");
});

it("the volume that ServiceAccount admission adds has token, CA and namespace", async () => {
  const items = [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }];
  await setUp([{ path: "token" }], {
    defaultMode: 0o644,
    sources: [
      { serviceAccountToken: { path: "token", expirationSeconds: 3607 } },
      { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
      { downwardAPI: { items } },
    ],
  });
  expect(await Promise.all(["v0/token", "v0/ca.crt", "v0/namespace"].map(read))).toEqual(["t1", "CA", "ns"]);
  expect(await modeOf("v0/ca.crt")).toBe("644");
});

it("the soonest renewal of all volumes is told, and each refresh moves it on", async () => {
  const volumes = await setUp([
    { path: "token", expirationSeconds: 7200 },
    { path: "token", expirationSeconds: 3600 },
  ]);
  expect(volumes.refreshAt).toBe(clock.now() + 0.8 * hour);
  clock.advance(0.8 * hour);
  expect(await volumes.refresh({}, signal)).toEqual({ updated: ["v0", "v1"], warnings: [] });
  expect(volumes.refreshAt).toBe(clock.now() + 0.8 * hour);
  expect(await read("v1/token")).toBe("t4");
});

it("without tokens there is nothing to renew", async () => {
  expect((await setUp([])).refreshAt).toBeUndefined();
});

it("what can't be renewed keeps its file, is warned of, and is tried again after a minute", async () => {
  const volumes = await setUp([{ path: "token" }]);
  next = new Error("the API server is away");
  clock.advance(hour);
  const { updated, warnings } = await volumes.refresh({}, signal);
  expect(updated).toEqual([]);
  expect(warnings[0]?.message).toBe(
    'MountVolume.SetUp failed for volume "v0" : couldn\'t get a token of service account "default": the API server is away',
  );
  expect(await read("v0/token")).toBe("t1");
  expect(volumes.refreshAt).toBe(clock.now() + 60_000);
  next = hour;
  expect((await volumes.refresh({}, signal)).updated).toEqual(["v0"]);
  expect(volumes.refreshAt).toBe(clock.now() + 0.8 * hour);
});

it("a pod whose first token can't be had waits", async () => {
  next = new Error("no such service account");
  await expect(setUp([{ path: "token" }])).rejects.toMatchObject({
    code: "CreateContainerFailed",
    reason: "FailedMount",
  });
});

it("whatever the path, a token is written below its volume, or the pod is refused", async () => {
  const name = fc.constantFrom("a", "b.c", "..", ".", "", "...", "..data", "\0");
  await fc.assert(
    fc.asyncProperty(fc.array(name, { minLength: 1, maxLength: 4 }), fc.boolean(), async (names, absolute) => {
      const path = (absolute ? "/" : "") + names.join("/");
      const outcome = await setUp([{ path }]).then(
        () => "written",
        (error) => error.code,
      );
      const file = join("v0", "..data", path).replace(/\/$/, "");
      if (outcome === "written") expect(await read(file)).toMatch(/^t\d+$/);
      else expect(outcome).toBe("PodInvalid");
      await rm(join(podDir, "projected"), { recursive: true, force: true });
    }),
    { numRuns: 60 },
  );
});
