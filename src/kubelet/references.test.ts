import { expect, test } from "vitest";
import { referencedObjects } from "./references.ts";

test("every ConfigMap and Secret of volumes, projections and environments is named, with the pod's namespace", () => {
  const env = [
    { name: "A", valueFrom: { configMapKeyRef: { name: "c-key", key: "k" } } },
    { name: "B", valueFrom: { secretKeyRef: { name: "s-key", key: "k" } } },
    { name: "C", value: "plain" },
    { name: "D", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
  ];
  const found = referencedObjects({
    metadata: { namespace: "ns", name: "p", uid: "u" },
    spec: {
      volumes: [
        { name: "a", configMap: { name: "c-volume" } },
        { name: "b", secret: { secretName: "s-volume" } },
        {
          name: "c",
          projected: { sources: [{ configMap: { name: "c-projected" } }, { secret: { name: "s-projected" } }, {}] },
        },
        { name: "d", emptyDir: {} },
      ],
      initContainers: [{ name: "i", envFrom: [{ configMapRef: { name: "c-from" } }] }],
      containers: [
        { name: "m", env, envFrom: [{ secretRef: { name: "s-from" } }] },
        { name: "again", env, envFrom: [{ configMapRef: { name: "c-volume" } }] },
      ],
    },
  });
  expect([...new Set(found.map(({ kind, name }) => `${kind} ${name}`))].sort()).toEqual([
    "ConfigMap c-from",
    "ConfigMap c-key",
    "ConfigMap c-projected",
    "ConfigMap c-volume",
    "Secret s-from",
    "Secret s-key",
    "Secret s-projected",
    "Secret s-volume",
  ]);
  expect(new Set(found.map(({ namespace }) => namespace))).toEqual(new Set(["ns"]));
});

test("a pod without a specification names nothing", () => {
  expect(referencedObjects({})).toEqual([]);
});
