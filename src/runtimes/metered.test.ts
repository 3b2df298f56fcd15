import { expect, test } from "vitest";
import { createAgentMetrics } from "../telemetry/agentMetrics.ts";
import { exposition } from "../telemetry/exposition.ts";
import type { ContainerRuntime } from "./contract.ts";
import { metered } from "./metered.ts";

class Counting {
  readonly name = "fake";
  #killed = 0;
  async kill(): Promise<void> {
    this.#killed++;
  }
  async remove(): Promise<void> {
    throw new Error("no");
  }
  get killed(): number {
    return this.#killed;
  }
}

test("calls are counted and timed, and everything else is as it was", async () => {
  const metrics = createAgentMetrics();
  const inner = new Counting();
  const runtime = metered(inner as unknown as ContainerRuntime, metrics);
  const id = { podUID: "u", container: "c", attempt: 0 };
  await runtime.kill(id);
  await expect(runtime.remove(id)).rejects.toThrow("no");
  expect([runtime.name, runtime.exec, inner.killed]).toEqual(["fake", undefined, 1]);
  const text = exposition(metrics.registry.families());
  expect(text).toContain('kubelet_runtime_operations_total{operation_type="stop_container"} 1');
  expect(text).toContain('kubelet_runtime_operations_errors_total{operation_type="remove_container"} 1');
});
