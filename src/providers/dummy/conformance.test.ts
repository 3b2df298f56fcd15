import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { providerConformance } from "../conformance.ts";
import { createDummyProvider } from "./index.ts";

providerConformance("dummy", async () => {
  const root = mkdtempSync(join(tmpdir(), "hostlet-dummy-"));
  return {
    open: (context) =>
      createDummyProvider({ context, stateDir: join(root, "state"), podsDir: join(root, "pods"), hostIP: "127.0.0.1" }),
    dispose: async () => rmSync(root, { recursive: true, force: true }),
  };
});
