import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ContainerSpec } from "../contract.ts";
import { podSlice, unitName } from "./unitName.ts";
import { cpuWeight, memoryHigh, unitProperties } from "./unitProperties.ts";

const id = { podUID: "0c0ffee0-0000-4000-8000-000000000000", container: "main", attempt: 0 };
const named = (about: Partial<ContainerSpec> = {}) => unitName({ id, namespace: "default", podName: "web", ...about });

describe("the name of a unit", () => {
  test("has namespace, pod, container and UID, and from the second start on the attempt", () => {
    expect(named()).toBe("hostlet.default.web.main.0c0ffee0-0000-4000-8000-000000000000.service");
    expect(named({ id: { ...id, attempt: 2 } })).toMatch(/^hostlet\.default\.web\.main\.0c0.*:2\.service$/);
  });

  test("is cut where it is too long, and never that of another container", () => {
    const part = fc.string({
      unit: fc.constantFrom("a", "b", ".", "-", "_", "ü", "/", "%"),
      minLength: 1,
      maxLength: 253,
    });
    const one = fc.record({ namespace: part, podName: part, container: part, podUID: part, attempt: fc.nat(3) });
    fc.assert(
      fc.property(one, one, (a, b) => {
        const [x, y] = [a, b].map(({ namespace, podName, ...of }) => unitName({ namespace, podName, id: of }));
        expect(x).toMatch(/^hostlet\.[A-Za-z0-9:_.-]+\.service$/);
        expect(x?.length).toBeLessThanOrEqual(255);
        if (JSON.stringify(a) !== JSON.stringify(b)) expect(x).not.toBe(y);
      }),
      {
        examples: [
          [
            { namespace: "a.b", podName: "c", container: "d", podUID: "u", attempt: 0 },
            { namespace: "a", podName: "b.c", container: "d", podUID: "u", attempt: 0 },
          ],
        ],
      },
    );
  });

  test("of a pod's slice is one level below hostlet.slice", () => {
    expect(podSlice(id.podUID)).toBe("hostlet-pod0c0ffee0_0000_4000_8000_000000000000.slice");
    expect(podSlice("a/b")).not.toBe(podSlice("a.b"));
  });
});

describe("the properties of a unit", () => {
  const spec: ContainerSpec = {
    ...{ id, namespace: "default", podName: "web", restartCount: 0, argv: ["x"], env: { SECRET: "hush" }, dir: "/d" },
    ...{ stdin: false, tty: false },
    mounts: [
      { volume: "a", source: "/src/a", mountPath: "/a", readOnly: false },
      { volume: "b", source: "/src/b", mountPath: "etc/b", readOnly: true },
    ],
    security: { readOnlyRootFilesystem: true },
    resources: {
      cpuRequestMillis: 500,
      cpuLimitMillis: 1500,
      memoryRequestBytes: 50 << 20,
      memoryLimitBytes: 100 << 20,
    },
  };
  const command = { file: "/shim", args: ["run", "$HOME %n"] };
  const of = (scope: "system" | "user") =>
    Object.fromEntries(unitProperties({ spec, scope, command, writable: ["/state"] }).map(([k, v]) => [k, v.value]));

  test("have limits, mounts and a read-only root", () => {
    expect(of("system")).toMatchObject({
      ...{
        CPUWeight: 20n,
        CPUQuotaPerSecUSec: 1_500_000n,
        MemoryMax: 104_857_600n,
        MemorySwapMax: 0n,
        MemoryHigh: 99_614_720n,
      },
      BindPaths: [["/src/a", "/a", false, 16384n]],
      BindReadOnlyPaths: [["/src/b", "/etc/b", false, 16384n]],
      ProtectSystem: "strict",
      ReadWritePaths: ["/d", "/state", "/a"],
      Slice: "hostlet-pod0c0ffee0_0000_4000_8000_000000000000.slice",
      ExecStartEx: [["/shim", ["/shim", "run", "$HOME %n"], ["no-env-expand"]]],
    });
  });

  test("of a user's manager have no mounts, which it can't make", () => {
    expect(Object.keys(of("user"))).not.toContain("BindPaths");
  });

  test("have nothing of the environment, which everybody could read", () => {
    expect(
      JSON.stringify(of("system"), (_key, value) => (typeof value === "bigint" ? String(value) : value)),
    ).not.toContain("hush");
  });

  test.each([
    [2, 1],
    [100, 4],
    [1000, 39],
    [4000, 157],
    [1e9, 10_000],
  ])("%i thousandths of a CPU weigh %i", (millis, weight) => {
    expect(cpuWeight(millis)).toBe(weight);
  });

  test("memory is held back from nine tenths of the way on, where less is requested than allowed", () => {
    expect(memoryHigh(undefined, 100)).toBeUndefined();
    expect(memoryHigh(100, 100)).toBeUndefined();
    expect(memoryHigh(0, 40_960)).toBe(36_864);
  });
});
