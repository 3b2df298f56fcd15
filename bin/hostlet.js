#!/usr/bin/env -S node --max-semi-space-size=1
// A small new space: V8 else keeps 32 MB of it for good after a burst of pods. Starts the bundle in dist/. Plain JavaScript that also an old Node can read, so that it can say what is wrong.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [major, minor] = process.versions.node.split(".").map(Number);
const root = fileURLToPath(new URL("..", import.meta.url));
const entry = new URL("../dist/hostlet.js", import.meta.url);

if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`hostlet needs Node 20.19 or newer; this is Node ${process.versions.node} (${process.execPath}).`);
  process.exitCode = 3;
} else if (!existsSync(entry)) {
  console.error(`hostlet is not built: there is no dist/hostlet.js. Run "npm run build" in ${root}`);
  process.exitCode = 3;
} else {
  await import(entry.href);
}
