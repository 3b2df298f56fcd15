import { afterAll, describe, expect, test } from "vitest";
import { runtimeConformance } from "../../../src/runtimes/conformance.ts";
import { runtimeSkips } from "../../../src/runtimes/conformanceSkips.ts";
import { engineFaults } from "./engineFaults.ts";
import { engineHarness } from "./engineHarness.ts";
import { engineMissing, startEngine, type TestEngine } from "./engines.ts";
import { registryInstalled, startRegistry } from "./registry.ts";
import { exampleFile, runManifest } from "./runExample.ts";

/** All that a container engine has to keep to. */
export async function engineSuite(name: TestEngine["name"]): Promise<void> {
  const missing = engineMissing(name);
  if (missing !== undefined) {
    console.warn(`SKIPPED: ${name}: ${missing}`);
    describe(name, () => test.skip(missing, () => {}));
    return;
  }
  const registry = registryInstalled ? await startRegistry() : undefined;
  const engine = await startEngine(name, registry?.host);
  afterAll(() => registry?.stop());
  afterAll(() => engine.stop());

  test(`${name}: examples/docker.yaml, as it stands, of an image that is here`, async () => {
    const query = { repo: "docker.io/library/busybox", tag: "1.36" };
    await engine.client.json({ method: "POST", path: `/images/${engine.imageID}/tag`, query });
    const env = { HOSTLET_RUNTIME: "docker", HOSTLET_DOCKER_HOST: engine.socket };
    const { code, stdout } = await runManifest(exampleFile("docker.yaml"), env);
    expect(stdout).toContain("the root of the image: bin");
    expect(code).toBe(0);
  });

  engineFaults(engine, registry);
  runtimeConformance(name, () => engineHarness(engine), runtimeSkips[name]);
}
