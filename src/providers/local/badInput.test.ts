import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { systemClock } from "../../clock.ts";
import type { PodEvent } from "../../kube/events.ts";
import definitions from "../../kube/generated/definitions.json" with { type: "json" };
import type { PodUpdate } from "../../kube/podUpdate.ts";
import type { Pod } from "../../kube/types.ts";
import { PodFiles } from "../../kubelet/podFiles.ts";
import { createPreparer } from "../../kubelet/preparer.ts";
import { testObjects } from "../../kubelet/volumes/testObjects.ts";
import { testConfig } from "../../node/testing/config.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { LocalProvider } from "./index.ts";
import { FakeHost, FakeRuntime } from "./testing/fakeRuntime.ts";

interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
}

const all = definitions.definitions as Record<string, Schema>;
const resolve = (schema: Schema): Schema =>
  schema.$ref ? (all[schema.$ref.replace("#/definitions/", "")] ?? {}) : schema;

/** Where something can be set in an object of this schema, and what it should be there. */
function places(schema: Schema, depth: number): { path: (string | number)[]; schema: Schema }[] {
  const { properties, items, ...own } = resolve(schema);
  const here = { path: [], schema: { ...own, ...(properties && { properties }), ...(items && { items }) } };
  if (depth === 0) return [here];
  const inside = Object.entries(properties ?? {}).flatMap(([name, property]) =>
    places(property, depth - 1).map((place) => ({ ...place, path: [name, ...place.path] })),
  );
  const elements = items ? places(items, depth - 1).map((place) => ({ ...place, path: [0, ...place.path] })) : [];
  return [here, ...inside, ...elements];
}

const everywhere = places({ $ref: "#/definitions/io.k8s.api.core.v1.PodSpec" }, 6).filter(
  ({ path }) => path.length > 0,
);

const deep = JSON.parse(`${'{"a":'.repeat(500)}1${"}".repeat(500)}`) as unknown;
/** Of the right type, and wrong all the same. */
const nasty: Record<string, fc.Arbitrary<unknown>> = {
  string: fc.oneof(
    fc.constantFrom(
      "",
      "..",
      "../../../etc",
      "/",
      "a\0b",
      "a\nb",
      "$(X)",
      "-",
      "x".repeat(200_000),
      "ünï",
      "kubernetes.io/x",
    ),
    fc.string(),
  ),
  integer: fc.oneof(fc.constantFrom(-1, 0, 2 ** 31, 2 ** 53, -(2 ** 53)), fc.integer()),
  number: fc.double(),
  boolean: fc.boolean(),
  array: fc.constantFrom(
    [],
    [null],
    [{}],
    Array.from({ length: 1000 }, () => ({})),
  ),
  object: fc.constantFrom({}, { "": "" }, { "../x": "y" }, deep),
};
const anything = fc.oneof(...Object.values(nasty), fc.constant(null));

const base = mkdtempSync(join(tmpdir(), "hostlet-bad-"));
const guarded = join(base, "guarded");
writeFileSync(guarded, "untouched");
afterAll(() => rmSync(base, { recursive: true, force: true }));

function basePod(n: number): Pod {
  return {
    metadata: { namespace: "default", name: `bad-${n}`, uid: `bad-uid-${n}` },
    spec: {
      restartPolicy: "Never",
      volumes: [{ name: "v", emptyDir: {} }],
      initContainers: [{ name: "i", command: ["sh", "-c", "exit 0"] }],
      containers: [
        {
          name: "c",
          command: ["sh", "-c", "exit 0"],
          env: [{ name: "X", value: "y" }],
          volumeMounts: [{ name: "v", mountPath: "/v" }],
        },
      ],
    },
  };
}

function set(target: unknown, path: readonly (string | number)[], value: unknown): void {
  const [first, ...rest] = path as [string | number, ...(string | number)[]];
  const object = target as Record<string | number, unknown>;
  if (rest.length === 0) object[first] = value;
  else {
    if (typeof object[first] !== "object" || object[first] === null)
      object[first] = typeof rest[0] === "number" ? [] : {};
    set(object[first], rest, value);
  }
}

const change = fc.constantFrom(...everywhere).chain(({ path, schema }) => {
  const right = nasty[schema.type ?? "object"] ?? anything;
  return fc.record({
    path: fc.constant(path),
    value: fc.oneof({ weight: 2, arbitrary: right }, { weight: 1, arbitrary: anything }),
  });
});

let pods = 0;

/** The pod's way to an end or to a wait that says why; what it left is looked at. */
async function outcome(pod: Pod): Promise<{ phase: string | undefined; said: string; errors: unknown[] }> {
  const dir = mkdtempSync(join(base, "node-"));
  const updates: PodUpdate[] = [];
  const events: PodEvent[] = [];
  const errors: unknown[] = [];
  const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
    error: (fields: unknown) => errors.push(fields),
    child: () => log,
  });
  const objects = testObjects();
  const config = testConfig({ stateDir: join(dir, "state"), podsDir: join(dir, "pods") });
  const host = new FakeHost(systemClock);
  const provider = new LocalProvider({
    context: {
      objects,
      events: { emit: (event) => events.push(event) },
      clock: systemClock,
      log,
      report: (update) => updates.push(update),
    },
    runtime: new FakeRuntime(host),
    files: new PodFiles({ stateDir: config.stateDir, podsDir: config.podsDir, layout: "namespace" }),
    preparer: createPreparer({ config, objects, clock: systemClock, hostIP: "127.0.0.1", allocatable: {} }),
    hostIP: "127.0.0.1",
  });
  const waiting = () => {
    const { initContainerStatuses = [], containerStatuses = [] } = updates.at(-1)?.status ?? {};
    return [...initContainerStatuses, ...containerStatuses].find(({ state }) => state?.waiting?.message)?.state?.waiting
      ?.message;
  };
  const settled = () => {
    const phase = updates.at(-1)?.status.phase;
    return (
      errors.length > 0 || phase === "Succeeded" || phase === "Failed" || phase === "Running" || waiting() !== undefined
    );
  };
  try {
    await provider.recover();
    provider.create(pod);
    const deadline = Date.now() + 10_000;
    while (!settled() && Date.now() < deadline) await new Promise((done) => setTimeout(done, 5));
    const { phase, message } = updates.at(-1)?.status ?? {};
    const warnings = events.filter(({ type }) => type === "Warning").map((event) => event.message);
    return { phase, said: [message, waiting(), ...warnings].filter(Boolean).join("; "), errors };
  } finally {
    provider.delete(pod, 0);
    const deadline = Date.now() + 10_000;
    while (!updates.at(-1)?.gone && Date.now() < deadline) await new Promise((done) => setTimeout(done, 5));
    const running = host.containers.filter(({ container }) => !container.exit).map(({ container }) => container.id);
    await provider.stop();
    expect(running, "containers are left running").toEqual([]);
    expect(readdirSync(join(config.stateDir, "pods")), "the pod's directory is left").toEqual([]);
    rmSync(dir, { recursive: true, force: true });
  }
}

test("whatever value a field has, the pod runs, or says why it does not, and leaves nothing behind", {
  timeout: 600_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(change, async ({ path, value }) => {
      const pod = basePod(pods++);
      set(pod.spec, path, value);
      const { phase, said, errors } = await outcome(pod);
      expect(errors, JSON.stringify(errors.map((e) => String((e as { err?: Error }).err?.stack)))).toEqual([]);
      expect(phase, said).toBeDefined();
      if (phase !== "Succeeded" && phase !== "Running") expect(said).not.toBe("");
      expect(existsSync(guarded)).toBe(true);
    }),
    // The same ones each time, so that a run tells of the change that it is made for; HOSTLET_SEED and HOSTLET_RUNS look further.
    {
      seed: Number(process.env.HOSTLET_SEED ?? 4),
      numRuns: Number(process.env.HOSTLET_RUNS ?? 60),
      endOnFailure: true,
    },
  );
});
