import { engineSuite } from "./support/engineSuite.ts";

await engineSuite("docker");
