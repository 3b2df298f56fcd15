// esbuild's options for every bundle of this repository: the command (scripts/build.mjs) and the benchmark (bench/run.mjs).
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

export const nodeBundle = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  splitting: true,
  sourcemap: true,
  legalComments: "linked",
  logLevel: "warning",
  // CommonJS packages inside an ESM bundle call require() for Node's own modules. The long name meets no import of ours.
  banner: {
    js: 'import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url);',
  },
};
