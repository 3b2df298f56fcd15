import { afterAll, describe, test } from "vitest";
import { runtimeConformance } from "../../src/runtimes/conformance.ts";
import { runtimeSkips } from "../../src/runtimes/conformanceSkips.ts";
import { startUserManager, userManagerMissing } from "./support/systemd.ts";
import { systemdHarness } from "./support/systemdHarness.ts";

const missing = userManagerMissing();
if (missing !== undefined) {
  console.warn(`SKIPPED: systemd --user: ${missing}`);
  describe("systemd --user", () => test.skip(missing, () => {}));
} else {
  const manager = await startUserManager();
  afterAll(() => manager.stop());
  runtimeConformance("systemd --user", () => systemdHarness("user", manager.env), runtimeSkips["systemd --user"]);
}
