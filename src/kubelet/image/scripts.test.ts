import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { systemClock } from "../../clock.ts";
import { writeVolume } from "../volumes/atomicWriter.ts";
import { filesIn, hostFiles, jobsAmong } from "./scripts.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "hostlet-scripts-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

it("lists a volume's files once each, by the names that its author gave them", async () => {
  const file = { data: Buffer.from(""), mode: 0o644 };
  const payload = new Map(["run.sh", "a.job", ".profile", "lib/deep/x"].map((path) => [path, file]));
  writeVolume(join(dir, "v"), payload, { dirMode: 0o755 }, systemClock);
  const mount = { volume: "v", source: join(dir, "v"), mountPath: "/v", readOnly: true };
  expect(await filesIn([mount, mount], hostFiles)).toEqual(
    [".profile", "a.job", "run.sh", "lib/deep/x"].map((path) => join(dir, "v", path)),
  );
});

it("lists a file as itself, and nothing for what is missing or no file", async () => {
  await writeFile(join(dir, "f"), "");
  await mkdir(join(dir, "empty"));
  await symlink("nowhere", join(dir, "dangling"));
  expect(await hostFiles.list(join(dir, "f"))).toEqual([join(dir, "f")]);
  for (const path of ["empty", "dangling", "none"]) expect(await hostFiles.list(join(dir, path))).toEqual([]);
  expect([await hostFiles.isFile(join(dir, "f")), await hostFiles.isFile(dir)]).toEqual([true, false]);
});

it("takes for jobs what ends in .job and has a name before it", () => {
  expect(jobsAmong(["/v/a.job", "/v/.job", "/v/a.job.bak", "/v/job", "/a.job/x"])).toEqual(["/v/a.job"]);
});
