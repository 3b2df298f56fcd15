import { expect, it } from "vitest";
import type { Provider } from "../providers/contract.ts";
import { silentLogger } from "../telemetry/log.ts";
import { ManualClock } from "../testing/manualClock.ts";
import { turns } from "../testing/turns.ts";
import { nodeResources } from "./nodeObject.ts";
import { ProvidedCapacity } from "./providedCapacity.ts";
import { testConfig, testFacts } from "./testing/config.ts";

it("asks a provider at the start and every minute, and keeps the last word while there is none", async () => {
  const answers: (Record<string, string> | Error)[] = [{ cpu: "64" }, new Error("Slurm is away"), { cpu: "32" }];
  const capacity = async () => {
    const answer = answers.shift() ?? {};
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const clock = new ManualClock();
  const abort = new AbortController();
  const provider = { capacity } as Partial<Provider> as Provider;
  const provided = new ProvidedCapacity({ provider, clock, log: silentLogger, signal: abort.signal });
  await provided.start();
  expect(provided.resources).toEqual({ cpu: "64" });
  for (const cpu of ["64", "32"]) {
    clock.advance(60_000);
    await turns();
    expect(provided.resources).toEqual({ cpu });
  }
  abort.abort();
  clock.advance(600_000);
  await turns();
  expect(answers).toEqual([]);
});

it("counts less than what the configuration says, and more than the host", () => {
  const resources = nodeResources(testConfig({ cpu: "3" }), testFacts, {
    cpu: "64",
    memory: "1Gi",
    "nvidia.com/gpu": "2",
  });
  expect(resources).toEqual({ cpu: "3", memory: "1Gi", pods: "110", "nvidia.com/gpu": "2" });
});
