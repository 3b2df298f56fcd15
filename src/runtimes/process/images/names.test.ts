import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { manifestTypes, parseManifest } from "./manifest.ts";
import { fullName, parseImageName } from "./names.ts";
import { parseChallenge, tokenUrl } from "./registryAuth.ts";

describe("an image's name", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  it.each([
    ["busybox", "docker.io/library/busybox:latest"],
    ["busybox:1.36", "docker.io/library/busybox:1.36"],
    ["user/image", "docker.io/user/image:latest"],
    ["index.docker.io/user/image", "docker.io/user/image:latest"],
    ["localhost/a/b/c:t", "localhost/a/b/c:t"],
    ["reg.example.org:5000/a", "reg.example.org:5000/a:latest"],
    ["[::1]:5000/a:x", "[::1]:5000/a:x"],
    [`a@${digest}`, `docker.io/library/a@${digest}`],
    [`a:t@${digest}`, `docker.io/library/a:t@${digest}`],
  ])("%s is %s", (given, full) => expect(fullName(parseImageName(given))).toBe(full));

  it.each([
    "",
    "A",
    "a b",
    "a:",
    "a:b:c",
    "-a",
    "a//b",
    "a@sha256:12",
    "http://x/y",
    "x".repeat(300),
    "exa_mple.org/a",
  ])("%j is none", (given) =>
    expect(() => parseImageName(given)).toThrowError(expect.objectContaining({ reason: "InvalidImageName" })),
  );

  it("is read or refused, whatever it holds", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (given) => {
        try {
          expect(fullName(parseImageName(fullName(parseImageName(given))))).toBe(fullName(parseImageName(given)));
        } catch (error) {
          expect(error).toMatchObject({ reason: "InvalidImageName" });
        }
      }),
    );
  });
});

describe("what a registry asks for", () => {
  it("is read with quotes and without", () => {
    const header = 'Bearer realm="https://auth.example.org/token?a=b",service="reg, istry",scope=repository:x:pull';
    const challenge = parseChallenge(header)!;
    expect(challenge).toEqual({
      scheme: "bearer",
      parameters: { realm: "https://auth.example.org/token?a=b", service: "reg, istry", scope: "repository:x:pull" },
    });
    expect(tokenUrl(challenge, "x", false).href).toBe(
      "https://auth.example.org/token?a=b&service=reg%2C+istry&scope=repository%3Ax%3Apull",
    );
    expect(parseChallenge("Basic")).toEqual({ scheme: "basic", parameters: {} });
    expect(parseChallenge(null)).toBeUndefined();
  });

  it("is refused where credentials would go without TLS", () => {
    const challenge = parseChallenge('Bearer realm="http://elsewhere/token"')!;
    expect(() => tokenUrl(challenge, "x", false)).toThrow(/not https/);
    expect(tokenUrl(challenge, "x", true).host).toBe("elsewhere");
  });
});

describe("a manifest", () => {
  const entry = (digit: string, platform?: { os: string; architecture: string }) => ({
    ...{ mediaType: manifestTypes[0], digest: `sha256:${digit.repeat(64)}` },
    ...(platform && { platform }),
  });
  const host = { os: "linux", architecture: "arm64" };
  it("of an index is the one for this host", () => {
    const index = { manifests: [entry("1", { os: "linux", architecture: "amd64" }), entry("2", host)] };
    expect(parseManifest(JSON.stringify(index), host)).toMatchObject({ digest: `sha256:${"2".repeat(64)}` });
    const other = JSON.stringify({ manifests: index.manifests.slice(0, 1) });
    expect(() => parseManifest(other, host)).toThrow("nothing for linux/arm64, only for linux/amd64");
  });
  it("without sha256 digests is refused, and one of schema 1", () => {
    expect(() => parseManifest(JSON.stringify({ config: {}, layers: [] }), host)).toThrow(/digest/);
    expect(() => parseManifest(JSON.stringify({ schemaVersion: 1, fsLayers: [] }), host)).toThrow(/too old/);
  });
});
