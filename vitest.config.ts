import { defineConfig } from "vitest/config";

/** Integration tests of a node, which e2e runs again on a real control plane; the others are about the embedded one. */
const onBothControlPlanes = [
  "test/integration/pods.test.ts",
  "test/integration/lifecycle.test.ts",
  "test/integration/tokens.test.ts",
  "test/integration/admit.test.ts",
  "test/integration/podfields.test.ts",
  "test/integration/streams.test.ts",
  "test/integration/interlink.test.ts",
];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "shim/**/*.test.ts", "scripts/**/*.test.ts"],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      // One file at a time: each takes the whole machine, or the real control plane that all share.
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts", ...onBothControlPlanes],
          globalSetup: "test/integration/support/realSetup.ts",
          testTimeout: 600_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      // As an ordinary user: test/slurm/run.sh
      {
        test: {
          name: "slurm",
          include: ["test/slurm/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "containers",
          include: ["test/containers/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "chaos",
          include: ["test/chaos/**/*.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
    coverage: { provider: "v8", include: ["src/**/*.ts"], exclude: ["src/**/*.gen.ts", "src/**/*.test.ts"] },
  },
});
