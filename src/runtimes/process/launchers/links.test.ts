import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ContainerMount } from "../../contract.ts";
import { linkMounts } from "./links.ts";

describe("the plain launcher's mounts", () => {
  let base: string;
  let pod: string;
  let dir: string;

  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "hostlet-links-"));
    pod = join(base, "pod");
    dir = join(pod, "containers", "c1");
    mkdirSync(dir, { recursive: true });
    for (const volume of ["a", "b"]) {
      mkdirSync(join(pod, "emptydirs", volume), { recursive: true });
      writeFileSync(join(pod, "emptydirs", volume, "file"), volume);
    }
    mkdirSync(join(base, "host"));
    writeFileSync(join(base, "host", "file"), "host");
  });
  afterEach(() => rmSync(base, { recursive: true }));

  const mount = (volume: string, mountPath: string): ContainerMount => ({
    volume,
    source: volume === "host" ? join(base, "host") : join(pod, "emptydirs", volume),
    mountPath,
    readOnly: false,
  });
  const link = (...mounts: ContainerMount[]) => linkMounts(dir, mounts);
  const read = (path: string) => readFileSync(join(dir, path, "file"), "utf8");

  it("are links under the container's directory, relative inside the pod's, absolute to the host's", () => {
    link(mount("a", "/var/lib/data"), mount("b", "rel/./path/"), mount("host", "/host"));
    expect(readlinkSync(join(dir, "var/lib/data"))).toBe("../../../../emptydirs/a");
    expect([read("var/lib/data"), read("rel/path"), read("host")]).toEqual(["a", "b", "host"]);
    expect(readlinkSync(join(dir, "host"))).toBe(join(base, "host"));
  });

  it("lie inside the outer volume where one is mounted in another, whatever their order", () => {
    link(mount("b", "/data/in/b"), mount("a", "/data"));
    expect([read("data"), read("data/in/b")]).toEqual(["a", "b"]);
    expect(readlinkSync(join(pod, "emptydirs/a/in/b"))).toBe("../../b");
  });

  it("can be made again, and follow a volume that moved", () => {
    link(mount("a", "/data"), mount("b", "/data/b"));
    link(mount("a", "/data"), mount("b", "/data/b"));
    link({ ...mount("b", "/data") });
    expect(read("data")).toBe("b");
  });

  it.each([
    ["/", /container's directory itself/],
    ["./.", /container's directory itself/],
    ["/pgid", /pgid/],
    ["pgid/x", /pgid/],
    ["/x/../../../y", /\.\./],
    ["a\0b", /NUL/],
    [`/${"x".repeat(300)}`, /255/],
    [`/${"x".repeat(300)}/y`, /255/],
  ])("at %j are refused with the reason", (path, reason) => {
    expect(() => link(mount("a", path))).toThrow(reason);
    expect(() => link(mount("a", path))).toThrow(expect.objectContaining({ code: "CreateContainerFailed" }));
  });

  it("are refused twice in one place", () => {
    expect(() => link(mount("a", "/x"), mount("b", "x/"))).toThrow(/volume a has the same mountPath/);
  });

  it("are never made inside a path of the host", () => {
    expect(() => link(mount("host", "/data"), mount("a", "/data/x"))).toThrow(/host/);
    expect(readdirSync(join(base, "host"))).toEqual(["file"]);
  });

  it("are refused inside a file", () => {
    const file = { ...mount("a", "/f"), source: join(pod, "emptydirs/a/file") };
    expect(() => link(file, mount("b", "/f/x"))).toThrow(/which is a file/);
  });

  it("replace what is empty, and nothing that holds files or is another's", () => {
    mkdirSync(join(dir, "empty"));
    link(mount("a", "/empty"));
    expect(read("empty")).toBe("a");
    mkdirSync(join(dir, "full/x"), { recursive: true });
    expect(() => link(mount("a", "/full"))).toThrow(/directory with files/);
    writeFileSync(join(dir, "plain"), "");
    expect(() => link(mount("a", "/plain"))).toThrow(/another file/);
    symlinkSync("/etc", join(pod, "emptydirs/a/sub"));
    expect(() => link(mount("a", "/data"), mount("b", "/data/sub"))).toThrow(/another link.*volume a/);
  });

  it.each(["containers", "containers/c1", "emptydirs", "emptydirs/a"])(
    "are refused where the pod made %s a link",
    (path) => {
      const outside = join(base, "outside");
      mkdirSync(join(outside, "c1"), { recursive: true });
      rmSync(join(pod, path), { recursive: true });
      symlinkSync(outside, join(pod, path));
      expect(() => link(mount("a", "/data"), mount("b", "/data/x/y"))).toThrow(/is not a directory but a link/);
      expect(readdirSync(outside)).toEqual(["c1"]);
      expect(readdirSync(join(outside, "c1"))).toEqual([]);
    },
  );

  it("never change anything outside the pod's directory, whatever the manifest and the pod's own links say", () => {
    const name = fc.constantFrom("x", "y", "..", ".", "", "pgid", "~", "a b", "-rf");
    const path = fc
      .tuple(fc.constantFrom("/", "", "//", "../"), fc.array(name, { maxLength: 4 }))
      .map(([s, n]) => s + n.join("/"));
    const mounts = fc.array(fc.tuple(fc.constantFrom("a", "b", "host"), path), { maxLength: 5 });
    const traps = fc.array(
      fc.tuple(
        fc.constantFrom("containers/c1", "emptydirs/a", "emptydirs/b"),
        fc.constantFrom("x", "y", "x/y"),
        fc.constantFrom("/outside", "/host", "/pod/../outside"),
      ),
      { maxLength: 3 },
    );
    mkdirSync(join(base, "outside"));
    writeFileSync(join(base, "outside", "keep"), "keep");
    fc.assert(
      fc.property(mounts, traps, (given, links) => {
        rmSync(pod, { recursive: true });
        for (const path of ["containers/c1", "emptydirs/a", "emptydirs/b"])
          mkdirSync(join(pod, path), { recursive: true });
        for (const [where, at, to] of links) {
          try {
            symlinkSync(base + to, join(pod, where, at));
          } catch {} // two traps in one place
        }
        const trapped = fingerprint(base);
        try {
          link(...given.map(([volume, path]) => mount(volume, path)));
        } catch (error) {
          expect(error).toMatchObject({ code: "CreateContainerFailed" });
        }
        expect(fingerprint(base).filter(outsidePod)).toEqual(trapped.filter(outsidePod));
      }),
      { numRuns: 300 },
    );
  });
});

const outsidePod = (line: string) => !line.startsWith("/pod/");

/** Every name below a directory, with what it is; links are not followed. */
function fingerprint(root: string, path = ""): string[] {
  return readdirSync(root + path).flatMap((name) => {
    const at = `${path}/${name}`;
    const stat = lstatSync(root + at);
    if (stat.isDirectory()) return [`${at}/`, ...fingerprint(root, at)];
    return [`${at} ${stat.isSymbolicLink() ? readlinkSync(root + at) : readFileSync(root + at, "latin1")}`];
  });
}
