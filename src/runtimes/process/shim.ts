import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { HostletError } from "../../errors.ts";

const run = promisify(execFile);

export interface HostletPackage {
  dir: string;
  version: string;
}

/** The directory of hostlet's own package.json: the same from src/ and from the bundle in dist/. */
export function findPackage(from = dirname(fileURLToPath(import.meta.url))): HostletPackage {
  for (let dir = from; ; dir = dirname(dir)) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) as Record<string, unknown>;
      if (name === "hostlet" && typeof version === "string") return { dir, version };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    if (dir === dirname(dir)) {
      throw new HostletError(
        "RuntimeUnavailable",
        `hostlet's package.json was not found above ${from}: reinstall hostlet`,
      );
    }
  }
}

/**
 * The path of a shim that runs on this host: the built one of this architecture, else one that is compiled once, with
 * the host's `cc`, into the state directory.
 * @throws {HostletError} RuntimeUnavailable, with what to do
 */
export async function findShim(
  stateDir: string,
  packageDir = findPackage().dir,
  arch: string = process.arch,
): Promise<string> {
  return findHelper("shim", stateDir, packageDir, arch);
}

/** The same for any of the programs of shim/. */
export async function findHelper(
  name: "shim" | "sandbox",
  stateDir: string,
  packageDir = findPackage().dir,
  arch: string = process.arch,
): Promise<string> {
  const built = join(packageDir, "shim", "bin", `hostlet-${name}-${arch}`);
  const path = isExecutable(built) ? built : await compile(name, join(packageDir, "shim", `${name}.c`), stateDir, arch);
  await verifyHelper(name, path);
  return path;
}

/** @throws {HostletError} RuntimeUnavailable where it does not run here */
export function verifyShim(path: string): Promise<void> {
  return verifyHelper("shim", path);
}

async function verifyHelper(name: string, path: string): Promise<void> {
  try {
    const { stdout } = await run(path, ["version"], { timeout: 10_000 });
    if (stdout.startsWith(`hostlet-${name} `)) return;
    throw new Error(`it printed ${JSON.stringify(stdout.slice(0, 80))}`);
  } catch (cause) {
    throw new HostletError(
      "RuntimeUnavailable",
      `${name === "shim" ? "the shim" : "the helper"} ${path} does not run on this host (is its file system mounted noexec?): ${(cause as Error).message}`,
      { cause },
    );
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The source's hash is in the name, so that an upgraded hostlet compiles anew. */
async function compile(name: string, source: string, stateDir: string, arch: string): Promise<string> {
  try {
    const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
    const cache = join(stateDir, "cache");
    const path = join(cache, `hostlet-${name}-${arch}-${hash}`);
    if (isExecutable(path)) return path;
    mkdirSync(cache, { recursive: true, mode: 0o700 });
    const draft = `${path}.${process.pid}`;
    await run("cc", ["-O2", "-std=gnu11", "-o", draft, source], { timeout: 120_000 });
    renameSync(draft, path);
    return path;
  } catch (cause) {
    throw new HostletError(
      "RuntimeUnavailable",
      `there is no hostlet-${name} for the architecture ${arch}, and ${source} could not be compiled: ` +
        `install a C compiler that runs as "cc" (for example gcc and libc6-dev), then start hostlet again. ${(cause as Error).message}`,
      { cause },
    );
  }
}
