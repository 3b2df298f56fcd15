import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findExecutable } from "./executable.ts";

describe("a command", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "hostlet-exec-"));
    mkdirSync(join(dir, "bin"));
    writeFileSync(join(dir, "bin", "tool"), "#!/bin/sh\n", { mode: 0o755 });
    writeFileSync(join(dir, "bin", "data"), "", { mode: 0o644 });
    writeFileSync(join(dir, "crlf"), "#!/bin/sh\r\n", { mode: 0o755 });
    writeFileSync(join(dir, "nowhere"), "#! /no/such/python3 -u\n", { mode: 0o755 });
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  const find = (argv: string[], path?: string) => findExecutable(argv, path, dir);

  it("is looked for in PATH, relative elements from the working directory", () => {
    const found = { file: join(dir, "bin", "tool"), argv: ["tool", "x"] };
    expect(find(["tool", "x"], `/no/such:${dir}/bin`)).toEqual(found);
    expect(find(["tool", "x"], "bin")).toEqual(found);
    expect(find(["sh"])).toMatchObject({ argv: ["sh"] });
  });

  it("with a slash is taken from the working directory", () => {
    expect(find(["bin/tool"])).toEqual({ file: join(dir, "bin/tool"), argv: ["bin/tool"] });
  });

  it.each([
    [["absent"], "/no/such", 127, /"absent".*not found in \$PATH.*install/],
    [[""], undefined, 127, /empty/],
    [["./absent"], undefined, 127, /no such file/],
    [["data"], "bin", 126, /bin\/data is not executable.*0755/],
    [["./bin"], undefined, 126, /is a directory/],
    [["./bin/data"], undefined, 126, /not executable/],
    [["./crlf"], undefined, 127, /Windows line ends/],
    [["./nowhere"], undefined, 127, /interpreter "\/no\/such\/python3"/],
  ])("%j with PATH %s ends with %i and says why", (argv, path, exitCode, message) => {
    expect(find(argv, path)).toEqual({ exitCode, message: expect.stringMatching(message) });
  });
});
