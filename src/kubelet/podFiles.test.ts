import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Pod } from "../kube/types.ts";
import { PodFiles } from "./podFiles.ts";

let root: string;
let files: PodFiles;
const t0 = Date.parse("2026-01-01T00:00:00Z");
const podOf = (name: string, uid = "u1", namespace = "ns"): Pod => ({
  metadata: { namespace, name, uid },
  spec: { initContainers: [{ name: "setup" }], containers: [{ name: "main" }] },
});
const filesOf = (layout: "namespace" | "pod") =>
  new PodFiles({ stateDir: join(root, "state"), podsDir: join(root, "pods"), layout });

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hostlet-files-"));
  files = filesOf("namespace");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("a pod has a directory for the agent's user alone, one for each container, and a link", () => {
  const { dir, publicDir } = files.create(podOf("p"), t0);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  expect(statSync(join(dir, "pod.json")).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(dir, "containers")).sort()).toEqual(["main", "setup"]);
  expect(readlinkSync(publicDir)).toBe(dir);
  expect(publicDir).toBe(join(root, "pods", "ns", "p"));
  expect(filesOf("pod").paths(podOf("p")).publicDir).toBe(join(root, "pods", "p"));
});

test("a record is read again as it was written, and no other file is left beside it", () => {
  files.create(podOf("p"), t0);
  const ended = { cause: "deadline" as const, reason: "R", message: "ü".repeat(9) };
  const record = { version: 1 as const, pod: podOf("p"), startedAt: t0, ended };
  files.save(record);
  expect(files.list()).toEqual({ records: [record], broken: [] });
  expect(readdirSync(files.paths(podOf("p")).dir).sort()).toEqual(["containers", "pod.json"]);
});

test("creating it twice keeps what is in it", () => {
  const { dir } = files.create(podOf("p"), t0);
  mkdirSync(join(dir, "emptydirs"));
  files.create(podOf("p"), t0);
  expect(existsSync(join(dir, "emptydirs"))).toBe(true);
});

test("a name at its length limit has its link", () => {
  const pod = podOf("n".repeat(253));
  const { dir, publicDir } = files.create(pod, t0);
  expect(readlinkSync(publicDir)).toBe(dir);
  const young = files.create(podOf("n".repeat(253), "u2"), t0);
  expect(readlinkSync(publicDir)).toBe(young.dir);
});

describe("removing", () => {
  test("takes directory and link, leaves a link that points elsewhere, and can be done twice", async () => {
    const pod = podOf("p");
    const { dir, publicDir } = files.create(pod, t0);
    rmSync(publicDir);
    symlinkSync("/tmp", publicDir);
    await files.remove(pod);
    await files.remove(pod);
    expect(existsSync(dir)).toBe(false);
    expect(readlinkSync(publicDir)).toBe("/tmp");
  });

  test("takes directories that were closed even to their owner", async () => {
    // root may do everything: be somebody else for a moment
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) {
      chmodSync(root, 0o777);
      rmSync(join(root, "state"), { recursive: true });
      process.seteuid?.(65534);
    }
    try {
      const own = filesOf("namespace");
      const { dir } = own.create(podOf("p"), t0);
      const cache = join(dir, "emptydirs", "cache");
      mkdirSync(join(cache, "closed"), { recursive: true });
      writeFileSync(join(cache, "file"), "");
      chmodSync(join(cache, "closed"), 0);
      chmodSync(cache, 0o555);
      await own.remove(podOf("p"));
      expect(existsSync(dir)).toBe(false);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  test("does not follow links out of the directory", async () => {
    const outside = join(root, "outside");
    mkdirSync(join(outside, "precious"), { recursive: true });
    const { dir } = files.create(podOf("p"), t0);
    symlinkSync(outside, join(dir, "emptydirs"));
    await files.remove(podOf("p"));
    expect(existsSync(join(outside, "precious"))).toBe(true);
  });
});

test("what can't be made leaves nothing at the public path", () => {
  mkdirSync(join(root, "pods", "ns", "p"), { recursive: true });
  expect(() => files.create(podOf("p"), t0)).toThrow(expect.objectContaining({ code: "PathNotOurs" }));
  expect(files.list()).toEqual({ records: [], broken: [] });
  expect(readdirSync(join(root, "pods", "ns"))).toEqual(["p"]);
});
