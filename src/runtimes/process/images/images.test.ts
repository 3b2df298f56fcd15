import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { Header } from "tar";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../clock.ts";
import { removeTree } from "../../../removeTree.ts";
import { decompressed } from "./entries.ts";
import { applyLayer } from "./layer.ts";
import { createImageService, type ImageTableEntry } from "./service.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hostlet-images-"));
});
afterEach(() => removeTree(dir));

type Entry = {
  path: string;
  type?: "File" | "Directory" | "SymbolicLink" | "Link" | "CharacterDevice";
  text?: string;
  linkpath?: string;
  mode?: number;
};

/** A tar file of these entries, whatever they say: no archiver would write some of them. */
function tarOf(entries: Entry[]): Buffer {
  const blocks = entries.flatMap(({ path, type = "File", text = "", linkpath = "", mode = 0o644 }) => {
    const content = Buffer.from(type === "File" ? text : "");
    const header = Buffer.alloc(512);
    new Header({
      path,
      type,
      linkpath,
      mode,
      size: content.length,
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      mtime: new Date(1_000_000),
    }).encode(header, 0);
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

async function* stream(data: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

/** Every file below: its path, and what it holds or leads to. */
function tree(root: string, below = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(join(root, below), { withFileTypes: true })) {
    const path = join(below, entry.name);
    if (entry.isDirectory()) Object.assign(found, { [`${path}/`]: "" }, tree(root, path));
    else
      found[path] = entry.isSymbolicLink()
        ? `-> ${readlinkSync(join(root, path))}`
        : readFileSync(join(root, path), "utf8");
  }
  return found;
}

const owners = process.geteuid?.() === 0;

describe("a layer", () => {
  const apply = async (...layers: Entry[][]) => {
    const root = join(dir, "root");
    mkdirSync(root, { recursive: true });
    for (const entries of layers) await applyLayer(root, stream(tarOf(entries)), { owners });
    return tree(root);
  };

  it("lays files, directories, links and hard links, over those of earlier layers", async () => {
    const found = await apply(
      [
        { path: "usr/bin/", type: "Directory", mode: 0o755 },
        { path: "usr/bin/tool", text: "one", mode: 0o755 },
        { path: "bin", type: "SymbolicLink", linkpath: "usr/bin" },
        { path: "dev/null", type: "CharacterDevice" },
      ],
      [
        { path: "bin/other", text: "two" },
        { path: "usr/bin/tool", text: "three" },
        { path: "hard", type: "Link", linkpath: "bin/other" },
      ],
    );
    expect(found).toEqual({
      ...{ "usr/": "", "usr/bin/": "", "usr/bin/tool": "three", "usr/bin/other": "two" },
      ...{ bin: "-> usr/bin", "dev/": "", hard: "two" },
    });
    const [hard, other] = ["hard", "usr/bin/other"].map((path) => lstatSync(join(dir, "root", path)).ino);
    expect(hard).toBe(other);
  });

  it("takes away what whiteouts name, and with an opaque one all of earlier layers", async () => {
    const found = await apply(
      [
        { path: "a/one", text: "1" },
        { path: "a/two", text: "2" },
        { path: "b/one", text: "1" },
        { path: "b/sub/x", text: "1" },
      ],
      [
        { path: "a/.wh.one" },
        { path: "b/sub/new", text: "n" },
        { path: "b/.wh..wh..opq" },
        { path: "a/.wh.never-was" },
      ],
    );
    expect(found).toEqual({ "a/": "", "a/two": "2", "b/": "", "b/sub/": "", "b/sub/new": "n" });
  });

  it.each<[string, Entry[]]>([
    ["an entry that leads out by its name", [{ path: "../out" }]],
    ["one in the middle", [{ path: "a/../../out" }]],
    ["a hard link to something outside", [{ path: "x", type: "Link", linkpath: "../../../etc/passwd" }]],
    ["a hard link to nothing", [{ path: "x", type: "Link", linkpath: "no/such" }]],
    ["a whiteout of the directory itself", [{ path: "a/.wh..." }, { path: ".wh..", text: "" }]],
    [
      "links in a circle",
      [
        { path: "a", type: "SymbolicLink", linkpath: "a" },
        { path: "a/x", text: "" },
      ],
    ],
    [
      "a file on the way",
      [
        { path: "a", text: "" },
        { path: "a/x", text: "" },
      ],
    ],
  ])("with %s is an error, and nothing is written outside", async (_, entries) => {
    await expect(apply(entries)).rejects.toThrow();
    expect(readdirSync(dir)).toEqual(["root"]);
  });

  it("writes through links within its root, wherever they lead", async () => {
    mkdirSync(join(dir, "outside"));
    const found = await apply([
      { path: "up", type: "SymbolicLink", linkpath: "../../../../outside" },
      { path: "abs", type: "SymbolicLink", linkpath: join(dir, "outside") },
      { path: "up/a", text: "1" },
      { path: "abs/b", text: "2" },
    ]);
    expect(readdirSync(join(dir, "outside"))).toEqual([]);
    expect(found["outside/a"]).toBe("1");
    expect(found[`${join(dir, "outside").slice(1)}/b`]).toBe("2");
  });

  it("never writes outside, whatever is in it", async () => {
    const name = fc.constantFrom("a", "b", "..", ".", "", "c", "..a", ".wh.a", ".wh..wh..opq", ".wh...");
    const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join("/"));
    const entry = fc.record({
      path,
      linkpath: fc.oneof(
        path,
        path.map((one) => `/${one}`),
        fc.constant("../../marker"),
      ),
      type: fc.constantFrom("File", "Directory", "SymbolicLink", "Link") as fc.Arbitrary<NonNullable<Entry["type"]>>,
      text: fc.constantFrom("", "x"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 8 }), async (entries) => {
        const base = mkdtempSync(join(dir, "case-"));
        mkdirSync(join(base, "in/root"), { recursive: true });
        writeFileSync(join(base, "marker"), "untouched");
        await applyLayer(join(base, "in/root"), stream(tarOf(entries)), { owners }).catch(() => {});
        expect(readdirSync(base).sort()).toEqual(["in", "marker"]);
        expect(readdirSync(join(base, "in"))).toEqual(["root"]);
        expect(readFileSync(join(base, "marker"), "utf8")).toBe("untouched");
        expect(lstatSync(join(base, "marker")).nlink).toBe(1);
        await removeTree(base);
      }),
      { numRuns: 150 },
    );
  });

  it("that ends early, or is no tar file, is an error", async () => {
    const whole = tarOf([{ path: "a", text: "x".repeat(2000) }]);
    mkdirSync(join(dir, "root"));
    const cut = applyLayer(join(dir, "root"), stream(whole.subarray(0, 1000)), { owners });
    await expect(cut).rejects.toThrow();
    await expect(applyLayer(join(dir, "root"), stream(Buffer.alloc(4096, 7)), { owners })).rejects.toThrow();
    const gzip = gzipSync(whole);
    const damaged = decompressed(stream(gzip.subarray(0, gzip.length - 20)));
    await expect(applyLayer(join(dir, "root"), damaged, { owners })).rejects.toThrow();
  });
});

describe("an image of the table", () => {
  const service = (entry: ImageTableEntry | undefined) =>
    createImageService({
      dir: join(dir, "images"),
      find: () => entry,
      ...{ pull: false, insecureRegistries: [], clock: systemClock },
    });
  const sha256 = (data: Buffer | string) => createHash("sha256").update(data).digest("hex");
  const layers = [
    tarOf([
      { path: "a", text: "1" },
      { path: "b", text: "2" },
    ]),
    tarOf([{ path: ".wh.a" }, { path: "c", text: "3" }]),
  ];
  const config = JSON.stringify({
    config: { Entrypoint: ["/bin/run"], Cmd: ["x"], Env: ["A=1=2", "B="], WorkingDir: "/w", User: "app" },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
  });
  const settings = {
    entrypoint: ["/bin/run"],
    command: ["x"],
    env: { A: "1=2", B: "" },
    workingDir: "/w",
    user: "app",
  };

  /** @param damage changes a blob after its digest was taken */
  function ociLayout(at: string, damage = false): void {
    mkdirSync(join(at, "blobs/sha256"), { recursive: true });
    const blob = (data: Buffer | string, mediaType: string) => {
      writeFileSync(join(at, "blobs/sha256", sha256(data)), data);
      return { mediaType, digest: `sha256:${sha256(data)}`, size: data.length };
    };
    const manifest = JSON.stringify({
      config: blob(config, "application/vnd.oci.image.config.v1+json"),
      layers: layers.map((layer) => blob(gzipSync(layer), "application/vnd.oci.image.layer.v1.tar+gzip")),
    });
    const other = {
      mediaType: "x",
      digest: `sha256:${"0".repeat(64)}`,
      platform: { os: "plan9", architecture: "amd64" },
    };
    writeFileSync(join(at, "index.json"), JSON.stringify({ manifests: [other, blob(manifest, "x")] }));
    writeFileSync(join(at, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
    if (damage) writeFileSync(join(at, "blobs/sha256", sha256(gzipSync(layers[1]!))), gzipSync(layers[0]!));
  }

  function dockerSave(at: string): void {
    mkdirSync(join(at, "first"), { recursive: true });
    mkdirSync(join(at, "second"));
    writeFileSync(join(at, "config.json"), config);
    writeFileSync(join(at, "first/layer.tar"), layers[0]!);
    writeFileSync(join(at, "real.tar"), layers[1]!);
    symlinkSync("../real.tar", join(at, "second/layer.tar"));
    const entry = { Config: "config.json", RepoTags: ["x:1"], Layers: ["first/layer.tar", "second/layer.tar"] };
    writeFileSync(join(at, "manifest.json"), JSON.stringify([entry]));
  }

  const archive = (from: string, to: string, ...options: string[]) =>
    execFileSync("tar", ["-C", from, ...options, "-cf", to, "."]);

  it.each<[string, (path: string) => void, string[] | undefined]>([
    ["an OCI layout", ociLayout, undefined],
    ["a tar file of an OCI layout", ociLayout, []],
    ["an archive of docker save", dockerSave, []],
    ["a compressed archive of docker save", dockerSave, ["-z"]],
  ])("that is %s is unpacked, once, with what it says of itself", async (_, make, tar) => {
    const path = join(dir, "image");
    make(path);
    if (tar) archive(path, `${path}.tar`, ...tar);
    const rootfs = tar ? `${path}.tar` : path;
    const images = service({ rootfs });
    const [first, second] = await Promise.all([images.find("x"), images.find("x")]);
    expect(first).toMatchObject({ ...settings, id: expect.stringMatching(/^sha256:/) });
    expect(tree(first!.rootfs!)).toEqual({ b: "2", c: "3" });
    const inode = lstatSync(first!.rootfs!).ino;
    const again = await service({ rootfs, user: "0", command: ["y"] }).find("x");
    expect(again).toEqual({ ...first, user: "0", command: ["y"] });
    expect(lstatSync(again!.rootfs!).ino).toBe(inode);
    expect(second).toEqual(first);
    expect(readdirSync(join(dir, "images")).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("that is a directory or a tar file of a root filesystem is that", async () => {
    const root = join(dir, "root");
    mkdirSync(join(root, "bin"), { recursive: true });
    writeFileSync(join(root, "bin/tool"), "hi");
    chmodSync(join(root, "bin/tool"), 0o4755);
    expect(await service({ rootfs: root, entrypoint: ["/bin/tool"] }).find("x")).toEqual({
      ...{ id: `rootfs:${root}`, rootfs: root, entrypoint: ["/bin/tool"] },
    });
    archive(root, `${root}.tar`);
    const found = await service({ rootfs: `${root}.tar` }).find("x");
    expect(tree(found!.rootfs!)).toEqual({ "bin/": "", "bin/tool": "hi" });
    expect(lstatSync(join(found!.rootfs!, "bin/tool")).mode & 0o7777).toBe(0o4755);
    expect(await service({ rootfs: root }).list()).toMatchObject([{ names: ["x"], sizeBytes: 2 }]);
  });

  it("that is damaged, or not there, is an error with its path", async () => {
    ociLayout(join(dir, "image"), true);
    const fails = (rootfs: string) =>
      service({ rootfs })
        .find("x")
        .catch((error) => error);
    expect(await fails(join(dir, "image"))).toMatchObject({ reason: "ErrImagePull", message: /damaged/ as unknown });
    expect((await fails(join(dir, "image"))).message).toContain(join(dir, "image"));
    expect((await fails(join(dir, "none"))).message).toContain("ENOENT");
    expect(readdirSync(join(dir, "images"))).toEqual([]);
  });

  it("without a root filesystem is the host's, and so is any other where nothing is pulled", async () => {
    expect(await service({ entrypoint: ["python3"] }).find("python")).toEqual({ id: "", onHost: true });
    expect(await service(undefined).find("no//valid::name")).toEqual({ id: "", onHost: true });
  });
});
